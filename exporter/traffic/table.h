// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace nfbpf::traffic {

// How a label's bytes are read and shown. The bytes stay binary until they are rendered.
enum class FieldKind : std::uint8_t {
  kIpv4,         // 4 bytes, network order
  kIpv6,         // 16 bytes, network order
  kPort,         // 2 bytes, network order
  kProtocol,     // IANA protocol number
  kIfindex,      // number of an interface in the network namespace the program ran in
  kEnum,         // shown by the enumerator's name, or as a number when it has none
  kUint,         // 1, 2, 4 or 8 bytes, host order
  kInt,          // the same, signed
  kUintNetwork,  // the same, network order
  kMac,          // 6 bytes
  kIfname,       // interface number shown by its name, or as a number when it has none
  kFlags,        // names of the bits that are set, the rest as one hexadecimal number
  kString,       // text up to the first NUL
  kGroup,        // number of a network's name, in host order; names sorted by it
  kOther,        // no bytes: the text "other", for what is no series of its own
  kIpChoice,     // 16 bytes that hold an IPv4 or an IPv6 address, as `choice` says
};

struct EnumName {
  std::uint64_t value = 0;
  std::string name;
  bool operator==(const EnumName&) const = default;
};

// The number of the key that says which of two addresses a field holds.
struct FamilyChoice {
  std::uint32_t offset = 0;  // bytes from the start of the key
  std::uint32_t size = 0;
  std::uint64_t ipv4 = 0;  // what it is for IPv4
  std::uint64_t ipv6 = 0;
  bool operator==(const FamilyChoice&) const = default;
};

// One label: a piece of the packed key. Bytes of a key that no field covers (padding, reserved
// members) are hidden and never tell two rows apart.
struct Field {
  std::string name;
  FieldKind kind = FieldKind::kUint;
  std::uint32_t offset = 0;     // bytes from the start of the key
  std::uint32_t size = 0;       // bytes
  std::vector<EnumName> names;  // kEnum, kFlags; kIfname, kGroup: sorted by value
  FamilyChoice choice{};        // kIpChoice
  bool operator==(const Field&) const = default;
};

// Bytes of an IPv4 address.
inline constexpr std::size_t kIpv4Bytes = 4;

// An integer of 1 to 8 bytes in host order.
[[nodiscard]] std::uint64_t host_uint(const std::byte* at, std::size_t size);

// Which address a kIpChoice field of this key holds.
enum class ChosenFamily : std::uint8_t { kNeither, kIpv4, kIpv6 };
[[nodiscard]] ChosenFamily chosen_family(const Field& field, std::span<const std::byte> key);

// What a number counts. Prometheus wants base units, so nanoseconds are shown as seconds.
enum class Unit : std::uint8_t { kCount, kNanoseconds };

enum class MetricType : std::uint8_t { kCounter, kGauge, kHistogram };

// One number of the value, a family of its own unless a histogram shows it.
struct Counter {
  std::string name;          // empty: the family's name needs no more words
  std::uint32_t offset = 0;  // bytes from the start of the value of one CPU
  std::uint32_t size = 0;    // 4 or 8 bytes
  Unit unit = Unit::kCount;
  MetricType type = MetricType::kCounter;  // kHistogram: a slot or the sum of one
  bool is_signed = false;
  std::string help{};  // empty: made from the name
  bool operator==(const Counter&) const = default;
};

// A run of counters that are the slots of a histogram, each counting what is above the bound before
// and not above its own; the last has no bound.
struct Histogram {
  std::string name;
  std::uint32_t first_slot = 0;       // index into Layout::counters
  std::uint32_t sum = 0;              // index into Layout::counters
  std::vector<std::uint64_t> bounds;  // inclusive, ascending; one fewer than slots
  Unit unit = Unit::kCount;           // of the bounds and of the sum
  std::string help{};
  bool operator==(const Histogram&) const = default;
};

// What a table's rows mean.
struct Layout {
  std::string map;     // where the rows come from, e.g. nfbpf_ipv4
  std::string family;  // prefix of the family names, e.g. nfbpf_source_destination
  std::uint32_t key_size = 0;
  std::uint32_t value_size = 0;
  std::vector<Field> labels;
  std::vector<Counter> counters;
  std::vector<Histogram> histograms{};
  bool operator==(const Layout&) const = default;
};

// Rows of packed keys and their counters, summed over the CPUs. Row r's key is key_size bytes, its
// values stand in the order of layout().counters.
class Table {
 public:
  Table(std::shared_ptr<const Layout> layout, std::uint64_t capacity)
      : layout_(std::move(layout)), capacity_(capacity) {}

  [[nodiscard]] const Layout& layout() const { return *layout_; }
  [[nodiscard]] const std::shared_ptr<const Layout>& shared_layout() const { return layout_; }
  // Rows that the map can hold; 0: it is no map.
  [[nodiscard]] std::uint64_t capacity() const { return capacity_; }
  [[nodiscard]] std::size_t rows() const { return rows_; }

  [[nodiscard]] std::span<const std::byte> key(std::size_t row) const {
    return {keys_.data() + row * layout_->key_size, layout_->key_size};
  }
  [[nodiscard]] std::span<std::byte> key(std::size_t row) {
    return {keys_.data() + row * layout_->key_size, layout_->key_size};
  }
  // All of them, one behind the other.
  [[nodiscard]] std::span<const std::byte> keys() const { return keys_; }
  [[nodiscard]] std::span<const std::uint64_t> values(std::size_t row) const {
    return {values_.data() + row * layout_->counters.size(), layout_->counters.size()};
  }
  [[nodiscard]] std::span<std::uint64_t> values(std::size_t row) {
    return {values_.data() + row * layout_->counters.size(), layout_->counters.size()};
  }

  // The same rows under a layout that differs in names alone.
  void rename(std::shared_ptr<const Layout> layout) { layout_ = std::move(layout); }

  void reserve(std::size_t rows);
  // Adds a row with all counters 0 and returns them. `key` has at least key_size bytes.
  std::span<std::uint64_t> append(const std::byte* key);
  void clear();

 private:
  std::shared_ptr<const Layout> layout_;
  std::uint64_t capacity_;
  std::size_t rows_ = 0;
  std::vector<std::byte> keys_;
  std::vector<std::uint64_t> values_;
};

// Rows that would be shown alike become one row: hidden bytes become 0, and so do those behind a
// string's NUL and those of a union that its family leaves unused. A table in which they are all 0,
// as they are meant to be, comes back as it is.
[[nodiscard]] Table fold_hidden(Table table);

// One table with the rows of both; rows of the same key are added. Both have the same labels and
// counters.
[[nodiscard]] Table fold_together(const Table& a, const Table& b);

}  // namespace nfbpf::traffic
