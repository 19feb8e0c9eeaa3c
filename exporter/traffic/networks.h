// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "traffic/table.h"

namespace nfbpf::traffic {

// What no network holds.
inline constexpr const char* kExternal = "external";
inline constexpr std::size_t kMostPrefixes = 100'000;

// Names of address ranges; of several that hold an address the longest prefix names it. A look-up
// is a binary search among the ranges that the prefixes cut the addresses into, at most two for
// each prefix.
class Networks {
 public:
  // "10.0.0.0/8" or "2001:db8::/32"; an address without a length is that one address. Bits behind
  // the length must be 0. The same prefix cannot have two names.
  Result<void> add(std::string_view cidr, const std::string& name);
  // To be called after the last add(), and before the first look-up.
  void finish();

  [[nodiscard]] bool empty() const { return prefixes_.empty(); }
  // Number of a name: an index into names().
  [[nodiscard]] std::uint32_t find_ipv4(std::span<const std::byte> address) const;  // 4 bytes
  [[nodiscard]] std::uint32_t find_ipv6(std::span<const std::byte> address) const;  // 16 bytes
  [[nodiscard]] const std::vector<EnumName>& names() const { return names_; }  // [0] is external

 private:
  __extension__ using Address = unsigned __int128;
  struct Prefix {
    bool ipv6;
    Address first;
    std::uint32_t length;
    auto operator<=>(const Prefix&) const = default;
  };
  struct Range {
    Address first;
    std::uint32_t name;
  };
  void cut(bool ipv6, std::vector<Range>& ranges) const;
  static std::uint32_t find(const std::vector<Range>& ranges, Address address);

  std::map<Prefix, std::uint32_t> prefixes_;
  std::map<std::string, std::uint32_t> numbers_;
  std::vector<EnumName> names_{{0, kExternal}};
  std::vector<Range> ipv4_, ipv6_;
};

// What is shown of a label that is an address.
enum class Shown : std::uint8_t { kAddress, kGroup, kBoth };

// Which labels get a label NAME_group beside them or in their place.
struct Grouping {
  std::shared_ptr<const Networks> networks;  // null: none
  std::map<std::string, Shown> labels;       // by name; others show their address
};

// Adds groups to tables of one layout.
class Grouper {
 public:
  Grouper(const Layout& layout, const Grouping& grouping);

  // Whether there is anything to do for this layout.
  [[nodiscard]] bool changes_anything() const { return !groups_.empty(); }
  [[nodiscard]] const std::shared_ptr<const Layout>& layout() const { return layout_; }
  // Rows that differ only in an address that is not shown become one.
  [[nodiscard]] Table apply(const Table& table) const;

 private:
  struct Group {
    Field address;     // of the old key
    std::uint32_t at;  // of the new key: where the number of the group stands
    bool keeps_address;
  };
  [[nodiscard]] std::uint32_t group_of(const Field& field, std::span<const std::byte> key) const;

  std::shared_ptr<const Networks> networks_;
  std::shared_ptr<const Layout> layout_;
  std::vector<Group> groups_;
  bool folds_ = false;
};

}  // namespace nfbpf::traffic
