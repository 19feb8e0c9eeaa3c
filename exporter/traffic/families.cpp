// SPDX-License-Identifier: Apache-2.0
#include "traffic/families.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

namespace nfbpf::traffic {
namespace {

std::vector<std::uint32_t> labels_by_name(const Layout& layout) {
  std::vector<std::uint32_t> order(layout.labels.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, {},
                    [&](std::uint32_t i) -> const std::string& { return layout.labels[i].name; });
  return order;
}

// Sorts by the key's bytes. The first eight travel with the row number, so that most comparisons
// touch no other memory.
std::vector<std::uint32_t> rows_by_key(const Table& table) {
  struct Entry {
    std::uint64_t prefix;
    std::uint32_t row;
  };
  std::vector<Entry> entries(table.rows());
  for (std::uint32_t row = 0; row < entries.size(); ++row) {
    const auto key = table.key(row);
    std::uint64_t prefix = 0;
    std::memcpy(&prefix, key.data(), std::min(key.size(), sizeof(prefix)));
    if constexpr (std::endian::native == std::endian::little) prefix = __builtin_bswap64(prefix);
    entries[row] = {prefix, row};
  }
  std::ranges::sort(entries, [&](const Entry& a, const Entry& b) {
    if (a.prefix != b.prefix) return a.prefix < b.prefix;
    const auto key_a = table.key(a.row);
    return std::memcmp(key_a.data(), table.key(b.row).data(), key_a.size()) < 0;
  });
  std::vector<std::uint32_t> order(entries.size());
  std::ranges::transform(entries, order.begin(), &Entry::row);
  return order;
}

// How two tables that give the same families relate.
enum class Relation : std::uint8_t { kUnrelated, kDisjoint, kSameKeys, kClash };

bool share_a_family(const Layout& a, const Layout& b) {
  return std::ranges::any_of(a.counters, [&](const Counter& of_a) {
    return std::ranges::any_of(b.counters, [&](const Counter& of_b) {
      return family_name(a, of_a) == family_name(b, of_b);
    });
  });
}

Relation relate(const Layout& a, const Layout& b) {
  if (!share_a_family(a, b)) return Relation::kUnrelated;
  const auto order_a = labels_by_name(a);
  const auto order_b = labels_by_name(b);
  const bool same_names = std::ranges::equal(
      order_a, order_b, [&](auto i, auto j) { return a.labels[i].name == b.labels[j].name; });
  // Prometheus wants the label names of a family to be the same in every series.
  if (!same_names) return Relation::kClash;
  for (std::size_t i = 0; i < order_a.size(); ++i) {
    const auto kind_a = a.labels[order_a[i]].kind;
    const auto kind_b = b.labels[order_b[i]].kind;
    // No text of an IPv4 address is one of an IPv6 address.
    if ((kind_a == FieldKind::kIpv4 && kind_b == FieldKind::kIpv6) ||
        (kind_a == FieldKind::kIpv6 && kind_b == FieldKind::kIpv4))
      return Relation::kDisjoint;
  }
  const bool same_keys =
      a.labels == b.labels && a.key_size == b.key_size && a.counters == b.counters;
  return same_keys ? Relation::kSameKeys : Relation::kClash;
}

std::string help_text(const Layout& layout, const Counter& counter) {
  std::string help = counter.name.empty() ? "count" : counter.name;
  std::ranges::replace(help, '_', ' ');
  help[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(help[0])));
  const char* joint = " by ";
  for (const std::uint32_t i : labels_by_name(layout)) {
    help += joint + layout.labels[i].name;
    joint = ", ";
  }
  return help + "; summed over CPUs from " + layout.map;
}

}  // namespace

std::string family_name(const Layout& layout, const Counter& counter) {
  std::string name = layout.family;
  if (!counter.name.empty()) name += "_" + counter.name;
  if (!name.ends_with("_total")) name += "_total";
  return name;
}

FamilySet FamilySet::build(const std::vector<Table>& tables,
                           std::span<const std::string_view> taken) {
  FamilySet set;
  for (const Table& table : tables)
    if (!set.reject_taken(table, taken)) set.place(table);
  set.sort();
  return set;
}

bool FamilySet::reject_taken(const Table& table, std::span<const std::string_view> taken) {
  const Layout& layout = table.layout();
  for (const Counter& counter : layout.counters) {
    const std::string name = family_name(layout, counter);
    if (std::ranges::find(taken, name) == taken.end()) continue;
    rejected_.push_back({layout.map, "map " + layout.map + ": gives " + name +
                                         ", which the exporter has of itself; rename its value "
                                         "struct or member"});
    return true;
  }
  return false;
}

void FamilySet::place(const Table& table) {
  for (View& view : views_) {
    switch (relate(view.table->layout(), table.layout())) {
      case Relation::kUnrelated:
      case Relation::kDisjoint:
        break;
      case Relation::kSameKeys:
        view.table = &folded_.emplace_back(fold_together(*view.table, table));
        return;
      case Relation::kClash:
        rejected_.push_back(
            {table.layout().map, "map " + table.layout().map + ": gives " + table.layout().family +
                                     " with other labels or counters than map " +
                                     view.table->layout().map + "; rename its value struct"});
        return;
    }
  }
  add_view(table);
}

void FamilySet::add_view(const Table& table) {
  const Layout& layout = table.layout();
  const View& view = views_.emplace_back(View{&table, {}, labels_by_name(layout)});
  for (std::uint32_t i = 0; i < layout.counters.size(); ++i) {
    const std::string name = family_name(layout, layout.counters[i]);
    auto family = std::ranges::find(families_, name, &Family::name);
    if (family == families_.end()) {
      families_.push_back({name, help_text(layout, layout.counters[i]), {}});
      family = families_.end() - 1;
    } else {
      family->help += ", " + layout.map;
    }
    family->parts.push_back({&view, i});
  }
}

void FamilySet::sort() {
  for (View& view : views_) view.rows = rows_by_key(*view.table);
  std::ranges::sort(families_, {}, &Family::name);
}

}  // namespace nfbpf::traffic
