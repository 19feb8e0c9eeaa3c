// SPDX-License-Identifier: Apache-2.0
#include "traffic/table.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "traffic/key_index.h"

namespace nfbpf::traffic {
namespace {

// 0xff over every byte that a label shows.
std::vector<std::byte> shown_mask(const Layout& layout) {
  std::vector<std::byte> mask(layout.key_size, std::byte{0});
  for (const Field& field : layout.labels)
    std::fill_n(mask.begin() + field.offset, field.size, std::byte{0xff});
  return mask;
}

bool has_hidden_content(const Table& table, const std::vector<std::byte>& mask) {
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto key = table.key(row);
    for (std::size_t i = 0; i < mask.size(); ++i)
      if ((key[i] & ~mask[i]) != std::byte{0}) return true;
  }
  return false;
}

void add_rows(const Table& from, Table& into, KeyIndex& index) {
  for (std::size_t row = 0; row < from.rows(); ++row) {
    const auto key = from.key(row);
    const auto [found, fresh] = index.find_or_add(key);
    const auto sums = fresh ? into.append(key.data()) : into.values(found);
    const auto values = from.values(row);
    for (std::size_t i = 0; i < values.size(); ++i) sums[i] += values[i];
  }
}

}  // namespace

void Table::reserve(std::size_t rows) {
  keys_.reserve(rows * layout_->key_size);
  values_.reserve(rows * layout_->counters.size());
}

std::span<std::uint64_t> Table::append(const std::byte* key) {
  keys_.insert(keys_.end(), key, key + layout_->key_size);
  values_.resize(values_.size() + layout_->counters.size(), 0);
  return values(rows_++);
}

void Table::clear() {
  rows_ = 0;
  keys_.clear();
  values_.clear();
}

Table fold_hidden(Table table) {
  const auto mask = shown_mask(table.layout());
  const bool all_shown = std::ranges::find(mask, std::byte{0}) == mask.end();
  if (all_shown || !has_hidden_content(table, mask)) return table;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto key = table.key(row);
    for (std::size_t i = 0; i < mask.size(); ++i) key[i] &= mask[i];
  }
  Table folded(table.shared_layout(), table.capacity());
  KeyIndex index(table.layout().key_size, table.rows());
  add_rows(table, folded, index);
  return folded;
}

Table fold_together(const Table& a, const Table& b) {
  Table folded(a.shared_layout(), a.capacity() + b.capacity());
  folded.reserve(a.rows() + b.rows());
  KeyIndex index(a.layout().key_size, a.rows() + b.rows());
  add_rows(a, folded, index);
  add_rows(b, folded, index);
  return folded;
}

}  // namespace nfbpf::traffic
