// SPDX-License-Identifier: Apache-2.0
#include "traffic/networks.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include "traffic/key_index.h"

namespace nfbpf::traffic {
namespace {

__extension__ using Address = unsigned __int128;

Address number_of(std::span<const std::byte> bytes) {
  Address number = 0;
  for (const std::byte byte : bytes) number = number << 8U | std::to_integer<unsigned>(byte);
  return number;
}

// The last address of a prefix, with `bits` in an address.
Address last_of(Address first, std::uint32_t length, std::uint32_t bits) {
  const std::uint32_t host = bits - length;
  if (host == 128) return ~Address{0};
  return first | ((Address{1} << host) - 1);
}

std::optional<std::uint32_t> whole_number(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

Result<void> Networks::add(std::string_view cidr, const std::string& name) {
  const std::string text(cidr);
  const auto slash = text.find('/');
  const std::string address = text.substr(0, slash);
  std::array<std::byte, 16> bytes{};
  const bool ipv6 = address.find(':') != std::string::npos;
  if (::inet_pton(ipv6 ? AF_INET6 : AF_INET, address.c_str(), bytes.data()) != 1)
    return fail("\"" + text + "\" is no network; give one such as 10.0.0.0/8 or 2001:db8::/32");
  const std::uint32_t bits = ipv6 ? 128 : 32;
  std::uint32_t length = bits;
  if (slash != std::string::npos) {
    const auto number = whole_number(std::string_view(text).substr(slash + 1));
    if (!number || *number > bits)
      return fail("\"" + text + "\" has no length from 0 to " + std::to_string(bits));
    length = *number;
  }
  const Address first = number_of(std::span(bytes).first(bits / 8));
  if (length < bits && (first & (last_of(0, length, bits))) != 0)
    return fail("\"" + text + "\" has bits behind its length; leave them 0, or give a longer one");
  if (name.empty() || name == "other" || name == kExternal)
    return fail("network " + text + " is called \"" + name +
                "\", which is the name of what is in " + "no network or no series");
  const auto [number, fresh] = numbers_.try_emplace(name, names_.size());
  if (fresh) names_.push_back({number->second, name});
  const auto [prefix, is_new] = prefixes_.try_emplace({ipv6, first, length}, number->second);
  if (!is_new && prefix->second != number->second)
    return fail("network " + text + " is called \"" + name + "\" and \"" +
                names_[prefix->second].name + "\"; leave one out");
  if (prefixes_.size() > kMostPrefixes)
    return fail("network " + text + " is one too many: at most " + std::to_string(kMostPrefixes));
  return {};
}

// Prefixes nest or are disjoint. In the order of their first addresses, shorter ones before those
// that they hold, each begins a range, and where it ends the one around it goes on.
void Networks::cut(bool ipv6, std::vector<Range>& ranges) const {
  struct Open {
    Address last;
    std::uint32_t name;
  };
  const std::uint32_t bits = ipv6 ? 128 : 32;
  const Address end = last_of(0, 0, bits);
  std::vector<Open> around{{end, 0}};
  const auto begin_range = [&](Address first, std::uint32_t name) {
    if (!ranges.empty() && ranges.back().first == first) ranges.pop_back();
    if (ranges.empty() || ranges.back().name != name) ranges.push_back({first, name});
  };
  const auto close_before = [&](Address first) {
    while (around.back().last < first) {
      const Address next = around.back().last + 1;
      around.pop_back();
      begin_range(next, around.back().name);
    }
  };
  ranges.assign(1, {0, 0});
  for (const auto& [prefix, name] : prefixes_) {
    if (prefix.ipv6 != ipv6) continue;
    close_before(prefix.first);
    begin_range(prefix.first, name);
    around.push_back({last_of(prefix.first, prefix.length, bits), name});
  }
  while (around.size() > 1 && around.back().last != end) {
    const Address next = around.back().last + 1;
    around.pop_back();
    begin_range(next, around.back().name);
  }
}

void Networks::finish() {
  cut(false, ipv4_);
  cut(true, ipv6_);
}

std::uint32_t Networks::find(const std::vector<Range>& ranges, Address address) {
  return std::prev(std::ranges::upper_bound(ranges, address, {}, &Range::first))->name;
}

std::uint32_t Networks::find_ipv4(std::span<const std::byte> address) const {
  return find(ipv4_, number_of(address));
}

std::uint32_t Networks::find_ipv6(std::span<const std::byte> address) const {
  return find(ipv6_, number_of(address));
}

Grouper::Grouper(const Layout& layout, const Grouping& grouping) : networks_(grouping.networks) {
  auto grouped = std::make_shared<Layout>(layout);
  if (networks_) {
    for (const Field& field : layout.labels) {
      const bool address = field.kind == FieldKind::kIpv4 || field.kind == FieldKind::kIpv6 ||
                           field.kind == FieldKind::kIpChoice;
      const auto wish = grouping.labels.find(field.name);
      if (!address || wish == grouping.labels.end() || wish->second == Shown::kAddress) continue;
      groups_.push_back({field, grouped->key_size, wish->second == Shown::kBoth});
      grouped->labels.push_back({field.name + "_group",
                                 FieldKind::kGroup,
                                 grouped->key_size,
                                 sizeof(std::uint32_t),
                                 networks_->names(),
                                 {}});
      grouped->key_size += sizeof(std::uint32_t);
      if (wish->second == Shown::kBoth) continue;
      std::erase_if(grouped->labels, [&](const Field& f) { return f.name == field.name; });
      folds_ = true;
    }
  }
  layout_ = std::move(grouped);
}

std::uint32_t Grouper::group_of(const Field& field, std::span<const std::byte> key) const {
  const auto bytes = key.subspan(field.offset, field.size);
  if (field.kind == FieldKind::kIpv4) return networks_->find_ipv4(bytes);
  if (field.kind == FieldKind::kIpv6) return networks_->find_ipv6(bytes);
  switch (chosen_family(field, key)) {
    case ChosenFamily::kIpv4:
      return networks_->find_ipv4(bytes.first(kIpv4Bytes));
    case ChosenFamily::kIpv6:
      return networks_->find_ipv6(bytes);
    case ChosenFamily::kNeither:
      break;
  }
  return 0;
}

Table Grouper::apply(const Table& table) const {
  Table grouped(layout_, table.capacity());
  if (!folds_) grouped.reserve(table.rows());
  KeyIndex index(layout_->key_size, folds_ ? 0 : 1);
  std::vector<std::byte> key(layout_->key_size);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto old = table.key(row);
    std::ranges::copy(old, key.begin());
    for (const Group& group : groups_) {
      const std::uint32_t number = group_of(group.address, old);
      std::memcpy(key.data() + group.at, &number, sizeof(number));
      if (!group.keeps_address)
        std::fill_n(key.begin() + group.address.offset, group.address.size, std::byte{0});
    }
    std::span<std::uint64_t> sums;
    if (folds_) {
      const auto [number, fresh] = index.find_or_add(key);
      sums = fresh ? grouped.append(key.data()) : grouped.values(number);
    } else {
      sums = grouped.append(key.data());
    }
    const auto values = table.values(row);
    for (std::size_t i = 0; i < values.size(); ++i) sums[i] += values[i];
  }
  return grouped;
}

}  // namespace nfbpf::traffic
