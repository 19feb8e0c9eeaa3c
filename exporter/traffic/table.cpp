// SPDX-License-Identifier: Apache-2.0
#include "traffic/table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "traffic/key_index.h"

namespace nfbpf::traffic {
namespace {

// Finds and clears the bytes of a key that are not shown.
class KeyCleaner {
 public:
  explicit KeyCleaner(const Layout& layout) : mask_(layout.key_size, std::byte{0}) {
    for (const Field& field : layout.labels) show(field.offset, field.size);
    for (const Field& field : layout.labels) {
      if (field.kind == FieldKind::kString) strings_.push_back(&field);
      if (field.kind == FieldKind::kIpChoice) add_choice(field);
    }
    all_shown_ = strings_.empty() && choices_.empty() &&
                 std::ranges::find(mask_, std::byte{0}) == mask_.end();
  }

  // Whether no key of this layout can have anything to clear.
  [[nodiscard]] bool all_shown() const { return all_shown_; }

  // Whether there was anything but zeros to clear.
  bool clean(std::span<std::byte> key) const {
    bool cleared = false;
    for (const Choice& choice : choices_) cleared |= clean_choice(key, choice);
    for (const Field* field : strings_) {
      const auto text = key.subspan(field->offset, field->size);
      cleared |= clear({std::ranges::find(text, std::byte{0}), text.end()});
    }
    for (std::size_t i = 0; i < mask_.size(); ++i) {
      cleared |= (key[i] & ~mask_[i]) != std::byte{0};
      key[i] &= mask_[i];
    }
    return cleared;
  }

 private:
  struct Choice {
    const Field* field;
    bool shown;  // the number that chooses is a label too
  };

  void show(std::uint32_t offset, std::uint32_t size) {
    std::fill_n(mask_.begin() + offset, size, std::byte{0xff});
  }

  void add_choice(const Field& field) {
    const std::byte chooser = mask_[field.choice.offset];
    choices_.push_back({&field, chooser != std::byte{0}});
    show(field.choice.offset, field.choice.size);
  }

  static bool clear(std::span<std::byte> bytes) {
    const bool any = std::ranges::any_of(bytes, [](std::byte b) { return b != std::byte{0}; });
    std::ranges::fill(bytes, std::byte{0});
    return any;
  }

  static bool clean_choice(std::span<std::byte> key, const Choice& choice) {
    const Field& field = *choice.field;
    const auto address = key.subspan(field.offset, field.size);
    switch (chosen_family(field, key)) {
      case ChosenFamily::kIpv6:
        return false;
      case ChosenFamily::kIpv4:
        return clear(address.subspan(kIpv4Bytes));
      case ChosenFamily::kNeither:
        break;
    }
    // Shown as an empty label, whatever the number is.
    const bool number = !choice.shown && clear(key.subspan(field.choice.offset, field.choice.size));
    return clear(address) || number;
  }

  std::vector<std::byte> mask_;  // 0xff over every byte that is shown
  std::vector<const Field*> strings_;
  std::vector<Choice> choices_;
  bool all_shown_ = false;
};

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

std::uint64_t host_uint(const std::byte* at, std::size_t size) {
  std::uint64_t number = 0;
  // The low bytes stand first on a little-endian host, the last on a big-endian one.
  auto* target = reinterpret_cast<std::byte*>(&number);
  if constexpr (std::endian::native == std::endian::big) target += sizeof(number) - size;
  std::memcpy(target, at, size);
  return number;
}

ChosenFamily chosen_family(const Field& field, std::span<const std::byte> key) {
  const std::uint64_t number = host_uint(key.data() + field.choice.offset, field.choice.size);
  if (number == field.choice.ipv4) return ChosenFamily::kIpv4;
  return number == field.choice.ipv6 ? ChosenFamily::kIpv6 : ChosenFamily::kNeither;
}

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
  const KeyCleaner cleaner(table.layout());
  if (cleaner.all_shown()) return table;
  bool cleared = false;
  for (std::size_t row = 0; row < table.rows(); ++row) cleared |= cleaner.clean(table.key(row));
  if (!cleared) return table;
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
