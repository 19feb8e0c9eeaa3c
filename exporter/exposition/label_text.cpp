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
using traffic::host_uint;

constexpr std::size_t kIpv4Text = 16;  // with a byte to spare for put_ipv4()
constexpr std::size_t kIpv6Text = 39;
constexpr std::size_t kGroups = 8;
constexpr std::size_t kMacBytes = 6;

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

// "0." to "255.", and how long each is.
struct Octet {
  std::array<char, 4> text;
  std::uint8_t length;
};
constexpr std::array<Octet, 256> kOctets = [] {
  std::array<Octet, 256> octets{};
  for (unsigned octet = 0; octet < octets.size(); ++octet) {
    auto& [text, length] = octets[octet];
    if (octet >= 100) text[length++] = static_cast<char>('0' + octet / 100);
    if (octet >= 10) text[length++] = static_cast<char>('0' + octet / 10 % 10);
    text[length++] = static_cast<char>('0' + octet % 10);
    text[length++] = '.';
  }
  return octets;
}();

// Writes up to 16 bytes, of which the last is none of the address.
char* put_ipv4(char* at, const std::byte* address) {
  for (int i = 0; i < 4; ++i) {
    const Octet& octet = kOctets[std::to_integer<std::size_t>(address[i])];
    std::memcpy(at, octet.text.data(), octet.text.size());
    at += octet.length;
  }
  return at - 1;
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

// Bytes of the UTF-8 character at the start that may stand in a label as it is; 0: none.
// Overlong forms, surrogates and what is past U+10FFFF are no UTF-8 (RFC 3629).
std::size_t printable_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  // A backslash begins what is written for other bytes, so it is written that way itself.
  if (first < 0x80) return first >= 0x20 && first != 0x7f && first != '\\' ? 1 : 0;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0U) != 0x80) return 0;
  const unsigned second = byte(1);
  const bool refused = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                       (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
  return refused ? 0 : length;
}

// \xNN as the value; the backslash is escaped once more by the format.
void write_escaped_byte(Page& page, char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto octet = static_cast<unsigned char>(c);
  page.text("\\\\x");
  page.put(kHex[octet >> 4U]);
  page.put(kHex[octet & 0xfU]);
}

// Text from elsewhere, of which each byte can be told: \xNN stands for what is no printable UTF-8.
// For a backslash too where `all_backslashes`; else only before an x, which keeps a name readable.
void write_readable(Page& page, std::string_view text, bool all_backslashes) {
  while (!text.empty()) {
    std::size_t length = printable_length(text);
    if (text.front() == '\\' && !all_backslashes && !text.substr(1).starts_with('x')) length = 1;
    if (length == 0) {
      write_escaped_byte(page, text.front());
      text.remove_prefix(1);
      continue;
    }
    write_label_value(page, text.substr(0, length));
    text.remove_prefix(length);
  }
}

// Of an interface, an enumerator, a network: who gave it may have put anything into it.
void write_name(Page& page, std::string_view name) {
  write_readable(page, name, false);
}

void write_enum(Page& page, const Field& field, std::uint64_t value) {
  const auto name = std::ranges::find(field.names, value, &traffic::EnumName::value);
  if (name == field.names.end()) return page.number(value);
  write_name(page, name->name);
}

// Names that are sorted by value, as there may be many.
void write_ifname(Page& page, const Field& field, std::uint64_t value) {
  const auto name = std::ranges::lower_bound(field.names, value, {}, &traffic::EnumName::value);
  if (name == field.names.end() || name->value != value) return page.number(value);
  write_name(page, name->name);
}

// The names whose bits are all set, and what no name covers: "syn|ack|0x40".
void write_flags(Page& page, const Field& field, std::uint64_t value) {
  std::string_view joint = "";
  std::uint64_t rest = value;
  for (const traffic::EnumName& flag : field.names) {
    const bool set = flag.value == 0 ? value == 0 : (rest & flag.value) == flag.value;
    if (!set || (flag.value == 0 && !joint.empty())) continue;
    rest &= ~flag.value;
    page.text(joint);
    write_name(page, flag.name);
    joint = "|";
  }
  if (rest == 0 && !joint.empty()) return;
  page.text(joint);
  if (rest == 0) return page.put('0');
  page.text("0x");
  char* at = page.room(16);
  page.taken(static_cast<std::size_t>(std::to_chars(at, at + 16, rest, 16).ptr - at));
}

void write_mac(Page& page, const std::byte* address) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (std::size_t i = 0; i < kMacBytes; ++i) {
    if (i != 0) page.put(':');
    const auto octet = std::to_integer<unsigned>(address[i]);
    page.put(kHex[octet >> 4U]);
    page.put(kHex[octet & 0xfU]);
  }
}

void write_chosen_ip(Page& page, const Field& field, std::span<const std::byte> key) {
  const std::byte* address = key.data() + field.offset;
  switch (traffic::chosen_family(field, key)) {
    case traffic::ChosenFamily::kIpv4:
      return write_ipv4(page, address);
    case traffic::ChosenFamily::kIpv6:
      return write_ipv6(page, address);
    case traffic::ChosenFamily::kNeither:  // empty, which Prometheus takes for no label
      return;
  }
}

void write_protocol(Page& page, std::uint64_t number) {
  const std::string_view name = protocol_name(number);
  if (name.empty()) return page.number(number);
  page.text(name);
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

void write_string(Page& page, std::span<const std::byte> bytes) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  write_readable(page, text.substr(0, text.find('\0')), true);
}

bool is_printable(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = text.front() == '\\' ? 1 : printable_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
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
    case FieldKind::kMac:
      return write_mac(page, at);
    case FieldKind::kGroup:
    case FieldKind::kIfname:
      return write_ifname(page, field, host_uint(at, field.size));
    case FieldKind::kFlags:
      return write_flags(page, field, host_uint(at, field.size));
    case FieldKind::kString:
      return write_string(page, key.subspan(field.offset, field.size));
    case FieldKind::kOther:
      return write_label_value(page, field.names.empty() ? "other" : field.names[0].name);
    case FieldKind::kIpChoice:
      return write_chosen_ip(page, field, key);
  }
}

}  // namespace nfbpf::exposition
