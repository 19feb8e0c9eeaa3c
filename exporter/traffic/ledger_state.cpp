// SPDX-License-Identifier: Apache-2.0
// A ledger as bytes, and back. Host byte order: it never leaves the machine.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>

#include "traffic/ledger.h"

namespace nfbpf::traffic {
namespace {

constexpr std::uint32_t kMagic = 0x6c626e66;  // "fnbl"
// 2: what a series owes, who left lately, bounds of a histogram's slots. 1 is still read.
constexpr std::uint32_t kVersion = 2;
// What a broken length could otherwise ask for.
constexpr std::uint32_t kMostLabels = 256, kMostCounters = 4096, kMostKeyBytes = 4096;

class Writer {
 public:
  template <typename Number>
  void number(Number value) {
    static_assert(std::is_trivially_copyable_v<Number>);
    const auto* at = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), at, at + sizeof(value));
  }
  void text(const std::string& text) {
    number(static_cast<std::uint32_t>(text.size()));
    const auto* at = reinterpret_cast<const std::byte*>(text.data());
    bytes_.insert(bytes_.end(), at, at + text.size());
  }
  void raw(std::span<const std::byte> raw) { bytes_.insert(bytes_.end(), raw.begin(), raw.end()); }
  void numbers(std::span<const std::uint64_t> values) { raw(std::as_bytes(values)); }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// Reads until the bytes end; from then on everything is 0 and ok() is false.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename Number>
  Number number() {
    Number value{};
    const auto at = raw(sizeof(value));
    if (!at.empty()) std::memcpy(&value, at.data(), sizeof(value));
    return value;
  }
  std::string text() {
    const auto at = raw(number<std::uint32_t>());
    return {reinterpret_cast<const char*>(at.data()), at.size()};
  }
  std::span<const std::byte> raw(std::size_t size) {
    if (size > bytes_.size()) ok_ = false;
    if (!ok_) return {};
    const auto front = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return front;
  }
  // A count of things that are each at least so long.
  std::size_t count(std::uint64_t most, std::size_t least_bytes) {
    const auto count = number<std::uint64_t>();
    if (count > most || count * std::max<std::size_t>(least_bytes, 1) > bytes_.size()) ok_ = false;
    return ok_ ? static_cast<std::size_t>(count) : 0;
  }
  void refuse() { ok_ = false; }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return bytes_.empty(); }

 private:
  std::span<const std::byte> bytes_;
  bool ok_ = true;
};

struct SavedLabel {
  std::string name;
  FieldKind kind;
  std::uint32_t offset, size;
  std::uint64_t names;  // of a group, whose numbers mean nothing without: their hash
  bool kept;            // a cell of other is told apart by it
};
struct SavedCounter {
  std::string name;
  MetricType type;
};
struct SavedRow {
  std::span<const std::byte> key;
  std::vector<std::uint64_t> numbers;  // offsets; and of a cell, sums of what was live
  std::uint64_t period = 0;
  double at = 0;
  bool owes = false;
};
struct SavedKey {
  std::span<const std::byte> key;
  double at = 0;
};
struct SavedPart {
  std::string map;
  std::uint32_t key_size = 0, cell_size = 0;
  std::vector<SavedLabel> labels;
  std::vector<SavedCounter> counters;
  std::vector<SavedRow> series, cells;
  std::vector<SavedKey> left;
};

std::vector<std::uint64_t> read_numbers(Cursor& cursor, std::size_t count) {
  std::vector<std::uint64_t> numbers(count);
  const auto raw = cursor.raw(count * sizeof(std::uint64_t));
  if (!raw.empty()) std::memcpy(numbers.data(), raw.data(), raw.size());
  return numbers;
}

SavedPart read_part(Cursor& cursor, std::uint32_t version) {
  SavedPart part;
  part.map = cursor.text();
  part.key_size = cursor.number<std::uint32_t>();
  if (part.key_size > kMostKeyBytes) cursor.refuse();
  const std::size_t labels = cursor.count(kMostLabels, 1);
  for (std::size_t i = 0; i < labels; ++i) {
    SavedLabel label{cursor.text(),
                     FieldKind{cursor.number<std::uint8_t>()},
                     cursor.number<std::uint32_t>(),
                     cursor.number<std::uint32_t>(),
                     cursor.number<std::uint64_t>(),
                     cursor.number<std::uint8_t>() != 0};
    if (std::uint64_t{label.offset} + label.size > part.key_size) cursor.refuse();
    if (label.kept) part.cell_size += label.size;
    part.labels.push_back(std::move(label));
  }
  const std::size_t counters = cursor.count(kMostCounters, 1);
  for (std::size_t i = 0; i < counters; ++i)
    part.counters.push_back({cursor.text(), MetricType{cursor.number<std::uint8_t>()}});
  const std::size_t series =
      cursor.count(~std::uint32_t{0}, part.key_size + counters * 8 + sizeof(std::uint64_t) * 2);
  for (std::size_t i = 0; i < series && cursor.ok(); ++i) {
    SavedRow row{cursor.raw(part.key_size), read_numbers(cursor, counters),
                 cursor.number<std::uint64_t>(), cursor.number<double>()};
    row.owes = version == 1 ? std::ranges::any_of(row.numbers,
                                                  [](std::uint64_t number) {
                                                    return static_cast<std::int64_t>(number) < 0;
                                                  })
                            : cursor.number<std::uint8_t>() != 0;
    part.series.push_back(std::move(row));
  }
  const std::size_t cells = cursor.count(~std::uint32_t{0}, part.cell_size + counters * 16);
  for (std::size_t i = 0; i < cells && cursor.ok(); ++i)
    part.cells.push_back({cursor.raw(part.cell_size), read_numbers(cursor, counters * 2)});
  if (version == 1) return part;
  const std::size_t left = cursor.count(~std::uint32_t{0}, part.key_size + sizeof(double));
  for (std::size_t i = 0; i < left && cursor.ok(); ++i)
    part.left.push_back({cursor.raw(part.key_size), cursor.number<double>()});
  return part;
}

std::uint64_t hash_of_names(const Field& field) {
  if (field.kind != FieldKind::kGroup) return 0;
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const EnumName& name : field.names)
    for (const char c : name.name + "\n")
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

bool same_labels(const SavedPart& saved, const Layout& layout) {
  return saved.key_size == layout.key_size &&
         std::ranges::equal(saved.labels, layout.labels, [](const SavedLabel& a, const Field& b) {
           return a.name == b.name && a.kind == b.kind && a.offset == b.offset &&
                  a.size == b.size && a.names == hash_of_names(b);
         });
}

// What each counter is known by in a state. Slots of a histogram have no names of their own.
std::vector<std::string> saved_names(const Layout& layout) {
  std::vector<std::string> names;
  for (const Counter& counter : layout.counters) names.push_back(counter.name);
  for (const Histogram& histogram : layout.histograms) {
    names[histogram.sum] = histogram.name + "#sum";
    for (std::size_t slot = 0; slot <= histogram.bounds.size(); ++slot)
      names[histogram.first_slot + slot] =
          histogram.name + "#" +
          (slot == histogram.bounds.size() ? "inf" : std::to_string(histogram.bounds[slot]));
  }
  return names;
}

// Where a slot goes whose bound is none of `histogram`'s: into the first that holds all of it.
std::size_t slot_for(const Histogram& histogram, const std::string& bound) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(bound.data(), bound.data() + bound.size(), number);
  const bool is_number = error == std::errc() && end == bound.data() + bound.size();
  const auto slot =
      is_number ? std::ranges::lower_bound(histogram.bounds, number) : histogram.bounds.end();
  return histogram.first_slot + static_cast<std::size_t>(slot - histogram.bounds.begin());
}

// Of each saved counter its index now. Of version 1 slots stand in their order.
std::vector<std::optional<std::size_t>> places(const SavedPart& saved, const Layout& layout,
                                               std::uint32_t version) {
  const auto names = saved_names(layout);
  std::vector<std::optional<std::size_t>> places;
  std::size_t from = 0;
  for (const SavedCounter& counter : saved.counters) {
    auto& place = places.emplace_back();
    const bool by_order = version == 1 && counter.type == MetricType::kHistogram;
    for (std::size_t i = by_order ? from : 0; i < names.size() && !place; ++i)
      if (layout.counters[i].type == counter.type &&
          counter.name == (by_order ? layout.counters[i].name : names[i]))
        place = i;
    if (by_order && place) from = *place + 1;
    const auto hash = counter.name.rfind('#');
    if (place || by_order || hash == std::string::npos) continue;
    const auto histogram =
        std::ranges::find(layout.histograms, counter.name.substr(0, hash), &Histogram::name);
    if (histogram != layout.histograms.end() && counter.name.substr(hash) != "#sum")
      place = slot_for(*histogram, counter.name.substr(hash + 1));
  }
  return places;
}

std::vector<std::uint64_t> placed(std::span<const std::uint64_t> numbers,
                                  std::span<const std::optional<std::size_t>> places,
                                  std::size_t width) {
  std::vector<std::uint64_t> result(width, 0);
  for (std::size_t i = 0; i < places.size(); ++i)
    if (places[i]) result[*places[i]] += numbers[i];
  return result;
}

// A key of this layout that has the labels of a saved one, those that a cell is told apart by. A
// cell's key has them alone, one behind the other.
std::vector<std::byte> key_for_cell(const SavedPart& saved, std::span<const std::byte> from,
                                    bool is_cell, const Layout& layout) {
  std::vector<const SavedLabel*> kept;
  for (const SavedLabel& label : saved.labels)
    if (label.kept) kept.push_back(&label);
  std::ranges::sort(kept, {}, &SavedLabel::name);
  std::vector<std::byte> key(layout.key_size);
  std::uint32_t in_cell = 0;
  for (const SavedLabel* label : kept) {
    const std::uint32_t at = is_cell ? in_cell : label->offset;
    in_cell += label->size;
    const auto field = std::ranges::find(layout.labels, label->name, &Field::name);
    if (field != layout.labels.end() && field->kind == label->kind && field->size == label->size &&
        hash_of_names(*field) == label->names)
      std::memcpy(key.data() + field->offset, from.data() + at, label->size);
  }
  return key;
}

}  // namespace

std::vector<std::byte> Ledger::save() const {
  Writer out;
  out.number(kMagic);
  out.number(kVersion);
  out.number(static_cast<std::uint8_t>(over_));
  out.number(static_cast<std::uint64_t>(states_.size()));
  for (const PartState& part : states_) {
    const Layout& layout = *part.layout;
    const std::size_t width = layout.counters.size();
    out.text(layout.map);
    out.number(layout.key_size);
    out.number(static_cast<std::uint64_t>(layout.labels.size()));
    for (const Field& field : layout.labels) {
      out.text(field.name);
      out.number(static_cast<std::uint8_t>(field.kind));
      out.number(field.offset);
      out.number(field.size);
      out.number(hash_of_names(field));
      const bool kept = std::ranges::find(part.kept, &field) != part.kept.end();
      out.number(static_cast<std::uint8_t>(kept));
    }
    out.number(static_cast<std::uint64_t>(width));
    const auto names = saved_names(layout);
    for (std::size_t i = 0; i < width; ++i) {
      out.text(names[i]);
      out.number(static_cast<std::uint8_t>(layout.counters[i].type));
    }
    out.number(static_cast<std::uint64_t>(part.series.index.size()));
    for (std::size_t n = 0; n < part.series.index.size(); ++n) {
      out.raw(part.series.index.key(n));
      out.numbers({part.series.offsets.data() + n * width, width});
      out.number(part.activity[n].period);
      out.number(part.activity[n].at);
      out.number(static_cast<std::uint8_t>(part.activity[n].owes));
    }
    out.number(static_cast<std::uint64_t>(part.cells.index.size()));
    for (std::size_t n = 0; n < part.cells.index.size(); ++n) {
      out.raw(part.cells.index.key(n));
      out.numbers({part.cells.offsets.data() + n * width, width});
      out.numbers({part.cell_live_sums.data() + n * width, width});
    }
    out.number(static_cast<std::uint64_t>(part.left.size()));
    for (const auto& [key, at] : part.left) {
      out.raw(key);
      out.number(at);
    }
  }
  return out.take();
}

Result<void> Ledger::restore(std::span<const std::byte> state) {
  Cursor cursor(state);
  if (cursor.number<std::uint32_t>() != kMagic) return fail("the saved series are no such thing");
  const auto version = cursor.number<std::uint32_t>();
  if (version < 1 || version > kVersion)
    return fail("the saved series are of version " + std::to_string(version) +
                ", this exporter reads versions 1 to " + std::to_string(kVersion));
  const bool was_over = cursor.number<std::uint8_t>() != 0;
  const std::size_t count = cursor.count(kMostLabels, 1);
  std::vector<SavedPart> saved_parts;
  for (std::size_t i = 0; i < count && cursor.ok(); ++i)
    saved_parts.push_back(read_part(cursor, version));
  if (!cursor.ok() || !cursor.at_end()) return fail("the saved series are cut off or damaged");

  const auto is_ours = [this](const SavedPart& saved) {
    return std::ranges::any_of(states_,
                               [&](const PartState& p) { return p.layout->map == saved.map; });
  };
  // Not copied for a state of other maps: what was restored before may be large.
  if (std::ranges::none_of(saved_parts, is_ours)) return {};
  Ledger fresh = *this;
  for (const SavedPart& saved : saved_parts) {
    const auto found = std::ranges::find_if(
        fresh.states_, [&](const PartState& p) { return p.layout->map == saved.map; });
    if (found == fresh.states_.end()) continue;
    PartState& part = *found;
    const Layout& layout = *part.layout;
    const std::size_t width = layout.counters.size();
    const auto where = places(saved, layout, version);
    const bool same = same_labels(saved, layout);
    // Rows that are live count for other series now: they begin in `other`, which then does not
    // fall when it gets the offsets that were theirs.
    fresh.over_ |= was_over || !same;
    const auto fold = [&](const SavedRow& row, bool is_cell) {
      const std::size_t cell = fresh.cell_of(part, key_for_cell(saved, row.key, is_cell, layout));
      const auto numbers = std::span(row.numbers);
      add(part, part.cells.offsets.data() + cell * width,
          placed(numbers.first(where.size()), where, width), 1);
      if (is_cell && !part.drained)
        add(part, part.cell_live_sums.data() + cell * width,
            placed(numbers.subspan(where.size()), where, width), 1);
    };
    for (const SavedRow& row : saved.series) {
      if (!same) {
        fold(row, false);
        continue;
      }
      const std::size_t number = fresh.list(part, row.key);
      const auto offsets = placed(row.numbers, where, width);
      std::ranges::copy(offsets, part.series.offsets.data() + number * width);
      part.activity[number] = {row.period, 0, row.at, true, row.owes};
    }
    for (const SavedKey& one : saved.left)
      if (same) part.left[{one.key.begin(), one.key.end()}] = one.at;
    for (const SavedRow& row : saved.cells) fold(row, true);
  }
  *this = std::move(fresh);
  return {};
}

std::size_t Ledger::state_bytes(std::uint32_t limit) const {
  constexpr std::size_t kSpareCells = 32;  // directions and the like are fewer
  Ledger empty(parts_, {limit, options_.idle_seconds});
  std::size_t bytes = empty.save().size();
  std::size_t widest = 0;
  for (const PartState& part : states_) {
    const std::size_t width = part.layout->counters.size();
    const std::size_t series = part.layout->key_size + (width + 2) * 8 + 1;
    const std::size_t left = part.layout->key_size + 8;
    widest = std::max(widest, series + left);
    bytes += (part.cells.index.size() + kSpareCells) * (part.other_layout->key_size + width * 16);
  }
  return bytes + empty.row_limit() * widest;
}

}  // namespace nfbpf::traffic
