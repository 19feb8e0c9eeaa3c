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
};

struct EnumName {
  std::uint64_t value = 0;
  std::string name;
  bool operator==(const EnumName&) const = default;
};

// One label: a piece of the packed key. Bytes of a key that no field covers (padding, reserved
// members) are hidden and never tell two rows apart.
struct Field {
  std::string name;
  FieldKind kind = FieldKind::kUint;
  std::uint32_t offset = 0;  // bytes from the start of the key
  std::uint32_t size = 0;    // bytes
  std::vector<EnumName> names;
  bool operator==(const Field&) const = default;
};

// What a counter's number counts. Prometheus wants base units, so nanoseconds are shown as seconds.
enum class Unit : std::uint8_t { kCount, kNanoseconds };

// One counter: a u64 or u32 of the value.
struct Counter {
  std::string name;          // empty: the family's name needs no more words
  std::uint32_t offset = 0;  // bytes from the start of the value of one CPU
  std::uint32_t size = 0;    // 4 or 8 bytes
  Unit unit = Unit::kCount;
  bool operator==(const Counter&) const = default;
};

// What a table's rows mean.
struct Layout {
  std::string map;     // where the rows come from, e.g. nfbpf_ipv4
  std::string family;  // prefix of the family names, e.g. nfbpf_source_destination
  std::uint32_t key_size = 0;
  std::uint32_t value_size = 0;
  std::vector<Field> labels;
  std::vector<Counter> counters;
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
  [[nodiscard]] std::span<const std::uint64_t> values(std::size_t row) const {
    return {values_.data() + row * layout_->counters.size(), layout_->counters.size()};
  }
  [[nodiscard]] std::span<std::uint64_t> values(std::size_t row) {
    return {values_.data() + row * layout_->counters.size(), layout_->counters.size()};
  }

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

// Rows whose shown bytes are equal become one row, hidden bytes become 0. A table whose hidden
// bytes are all 0, as they are meant to be, comes back as it is.
[[nodiscard]] Table fold_hidden(Table table);

// One table with the rows of both; rows of the same key are added. Both have the same labels and
// counters.
[[nodiscard]] Table fold_together(const Table& a, const Table& b);

}  // namespace nfbpf::traffic
