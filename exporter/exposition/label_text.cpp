// SPDX-License-Identifier: Apache-2.0
#include "exposition/label_text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace nfbpf::exposition {
namespace {

using traffic::Field;
using traffic::FieldKind;

constexpr std::size_t kIpv4Text = 15;
constexpr std::size_t kIpv6Text = 39;
constexpr std::size_t kGroups = 8;

// The IANA keyword in lower case, with Linux' spelling (/etc/protocols) where IANA has none that is
// used.
constexpr std::array<std::string_view, 256> kProtocols = [] {
  std::array<std::string_view, 256> names{};
  names[0] = "hopopt", names[1] = "icmp", names[2] = "igmp", names[4] = "ipip", names[6] = "tcp";
  names[17] = "udp", names[33] = "dccp", names[41] = "ipv6", names[47] = "gre", names[50] = "esp";
  names[51] = "ah", names[58] = "icmpv6", names[59] = "ipv6-nonxt", names[88] = "eigrp";
  names[89] = "ospf", names[103] = "pim", names[112] = "vrrp", names[115] = "l2tp";
  names[132] = "sctp", names[136] = "udplite", names[137] = "mpls-in-ip", names[143] = "ethernet";
  return names;
}();

char* put_octet(char* at, unsigned octet) {
  if (octet >= 100) *at++ = static_cast<char>('0' + octet / 100);
  if (octet >= 10) *at++ = static_cast<char>('0' + octet / 10 % 10);
  *at++ = static_cast<char>('0' + octet % 10);
  return at;
}

char* put_ipv4(char* at, const std::byte* address) {
  at = put_octet(at, std::to_integer<unsigned>(address[0]));
  for (int i = 1; i < 4; ++i) {
    *at++ = '.';
    at = put_octet(at, std::to_integer<unsigned>(address[i]));
  }
  return at;
}

// The longest run of two or more zero groups, the first of equals (RFC 5952, 4.2).
struct ZeroRun {
  std::size_t start = kGroups;
  std::size_t length = 0;
};

ZeroRun longest_zero_run(const std::array<unsigned, kGroups>& groups, std::size_t count) {
  ZeroRun best;
  for (std::size_t i = 0; i < count;) {
    std::size_t end = i;
    while (end < count && groups[end] == 0) ++end;
    if (end - i > best.length && end - i >= 2) best = {i, end - i};
    i = end == i ? i + 1 : end;
  }
  return best;
}

bool is_ipv4_mapped(const std::array<unsigned, kGroups>& groups) {
  return std::all_of(groups.begin(), groups.begin() + 5, [](unsigned g) { return g == 0; }) &&
         groups[5] == 0xffff;
}

char* put_groups(char* at, const std::array<unsigned, kGroups>& groups) {
  const ZeroRun zeros = longest_zero_run(groups, kGroups);
  for (std::size_t i = 0; i < kGroups;) {
    if (i == zeros.start) {
      *at++ = ':', *at++ = ':';
      i += zeros.length;
      continue;
    }
    if (i != 0 && i != zeros.start + zeros.length) *at++ = ':';
    at = std::to_chars(at, at + 4, groups[i], 16).ptr;
    ++i;
  }
  return at;
}

std::uint64_t host_uint(const std::byte* at, std::size_t size) {
  std::uint64_t number = 0;
  // The low bytes stand first on a little-endian host, the last on a big-endian one.
  auto* target = reinterpret_cast<std::byte*>(&number);
  if constexpr (std::endian::native == std::endian::big) target += sizeof(number) - size;
  std::memcpy(target, at, size);
  return number;
}

std::uint64_t network_uint(const std::byte* at, std::size_t size) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < size; ++i)
    number = (number << 8U) | std::to_integer<std::uint64_t>(at[i]);
  return number;
}

std::int64_t host_int(const std::byte* at, std::size_t size) {
  const auto shift = static_cast<unsigned>(64 - size * 8);
  return static_cast<std::int64_t>(host_uint(at, size) << shift) >> shift;
}

void write_enum(Page& page, const Field& field, std::uint64_t value) {
  const auto name = std::ranges::find(field.names, value, &traffic::EnumName::value);
  if (name == field.names.end()) return page.number(value);
  write_label_value(page, name->name);
}

void write_protocol(Page& page, std::uint64_t number) {
  const std::string_view name = protocol_name(number);
  if (name.empty()) return page.number(number);
  page.text(name);
}

void write_escaped(Page& page, std::string_view text, std::string_view special) {
  for (;;) {
    const auto at = text.find_first_of(special);
    page.text(text.substr(0, at));
    if (at == std::string_view::npos) return;
    page.put('\\');
    page.put(text[at] == '\n' ? 'n' : text[at]);
    text.remove_prefix(at + 1);
  }
}

}  // namespace

std::string_view protocol_name(std::uint64_t number) {
  return number < kProtocols.size() ? kProtocols[number] : std::string_view{};
}

void write_ipv4(Page& page, const std::byte* address) {
  char* at = page.room(kIpv4Text);
  page.taken(static_cast<std::size_t>(put_ipv4(at, address) - at));
}

void write_ipv6(Page& page, const std::byte* address) {
  std::array<unsigned, kGroups> groups{};
  for (std::size_t i = 0; i < kGroups; ++i)
    groups[i] = static_cast<unsigned>(network_uint(address + i * 2, 2));
  if (is_ipv4_mapped(groups)) {
    page.text("::ffff:");
    return write_ipv4(page, address + 12);
  }
  char* at = page.room(kIpv6Text);
  page.taken(static_cast<std::size_t>(put_groups(at, groups) - at));
}

void write_label_value(Page& page, std::string_view value) {
  write_escaped(page, value, "\\\"\n");
}

void write_help(Page& page, std::string_view help) {
  write_escaped(page, help, "\\\n");
}

void write_field(Page& page, const Field& field, std::span<const std::byte> key) {
  const std::byte* at = key.data() + field.offset;
  switch (field.kind) {
    case FieldKind::kIpv4:
      return write_ipv4(page, at);
    case FieldKind::kIpv6:
      return write_ipv6(page, at);
    case FieldKind::kPort:
    case FieldKind::kUintNetwork:
      return page.number(network_uint(at, field.size));
    case FieldKind::kProtocol:
      return write_protocol(page, host_uint(at, field.size));
    case FieldKind::kEnum:
      return write_enum(page, field, host_uint(at, field.size));
    case FieldKind::kIfindex:
    case FieldKind::kUint:
      return page.number(host_uint(at, field.size));
    case FieldKind::kInt:
      return page.number(host_int(at, field.size));
  }
}

}  // namespace nfbpf::exposition
