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

// More rows than anybody reads stay in the order of their table: sorted, each is a cache miss when
// it is written, which made a million of them three times as dear.
constexpr std::size_t kMostSorted = 65'536;

// Sorts by the key's bytes. The first eight travel with the row number, so that most comparisons
// touch no other memory.
std::vector<std::uint32_t> rows_by_key(const Table& table) {
  if (table.rows() > kMostSorted || table.layout().key_size == 0) {
    std::vector<std::uint32_t> order(table.rows());
    std::iota(order.begin(), order.end(), 0U);
    return order;
  }
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

bool share_a_sample(const FamilyNames& a, const FamilyNames& b) {
  return std::ranges::find_first_of(a.samples, b.samples) != a.samples.end();
}

// Whether the layouts share families, and share them whole: one name, one type.
struct Sharing {
  bool any = false;
  bool whole = true;
};

Sharing sharing(const Layout& a, const Layout& b) {
  Sharing sharing;
  const auto names_b = family_names(b);
  for (const FamilyNames& of_a : family_names(a)) {
    for (const FamilyNames& of_b : names_b) {
      if (!share_a_sample(of_a, of_b)) continue;
      sharing.any = true;
      sharing.whole &= of_a.family == of_b.family && of_a.type == of_b.type;
    }
  }
  return sharing;
}

// One family has one set of buckets, or sums over its series mean nothing.
bool same_buckets(const Layout& a, const Layout& b) {
  for (const Histogram& of_a : a.histograms)
    for (const Histogram& of_b : b.histograms)
      if (family_name(a, of_a) == family_name(b, of_b) &&
          (of_a.bounds != of_b.bounds || of_a.unit != of_b.unit))
        return false;
  return true;
}

Relation relate(const Layout& a, const Layout& b) {
  const Sharing shared = sharing(a, b);
  if (!shared.any) return Relation::kUnrelated;
  if (!shared.whole) return Relation::kClash;
  const auto order_a = labels_by_name(a);
  const auto order_b = labels_by_name(b);
  const bool same_names = std::ranges::equal(
      order_a, order_b, [&](auto i, auto j) { return a.labels[i].name == b.labels[j].name; });
  // Prometheus wants the label names of a family to be the same in every series.
  if (!same_names || !same_buckets(a, b)) return Relation::kClash;
  for (std::size_t i = 0; i < order_a.size(); ++i) {
    const auto kind_a = a.labels[order_a[i]].kind;
    const auto kind_b = b.labels[order_b[i]].kind;
    // What is no series of its own, beside those that are: "other" is no text of theirs.
    if ((kind_a == FieldKind::kOther) != (kind_b == FieldKind::kOther)) return Relation::kDisjoint;
    // No text of an IPv4 address is one of an IPv6 address.
    if ((kind_a == FieldKind::kIpv4 && kind_b == FieldKind::kIpv6) ||
        (kind_a == FieldKind::kIpv6 && kind_b == FieldKind::kIpv4))
      return Relation::kDisjoint;
  }
  const bool same_keys = a.labels == b.labels && a.key_size == b.key_size &&
                         a.counters == b.counters && a.histograms == b.histograms;
  return same_keys ? Relation::kSameKeys : Relation::kClash;
}

std::string help_text(const Layout& layout, const std::string& name) {
  std::string help = name.empty() ? "count" : name;
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
  constexpr std::string_view kTotal = "_total";
  std::string name = layout.family;
  if (!counter.name.empty()) name += "_" + counter.name;
  const bool has_total = name.ends_with(kTotal);
  if (counter.type == MetricType::kCounter && !has_total) name += kTotal;
  // Of what can fall there is no total.
  if (counter.type == MetricType::kGauge && has_total) name.resize(name.size() - kTotal.size());
  return name;
}

std::string family_name(const Layout& layout, const Histogram& histogram) {
  return histogram.name.empty() ? layout.family : layout.family + "_" + histogram.name;
}

FamilyNames family_names(const Layout& layout, const Counter& counter) {
  const std::string name = family_name(layout, counter);
  return {name, counter.type, {name}};
}

FamilyNames family_names(const Layout& layout, const Histogram& histogram) {
  const std::string name = family_name(layout, histogram);
  return {name, MetricType::kHistogram, {name, name + "_bucket", name + "_sum", name + "_count"}};
}

std::vector<FamilyNames> family_names(const Layout& layout) {
  std::vector<FamilyNames> names;
  for (const Counter& counter : layout.counters)
    if (counter.type != MetricType::kHistogram) names.push_back(family_names(layout, counter));
  for (const Histogram& histogram : layout.histograms)
    names.push_back(family_names(layout, histogram));
  return names;
}

FamilySet FamilySet::build(const std::vector<Table>& tables,
                           std::span<const std::string_view> taken) {
  FamilySet set;
  const auto is_map = [](const Table& table) { return table.capacity() != 0; };
  for (const Table& table : tables)
    if (!is_map(table)) set.place(table);
  for (const Table& table : tables)
    if (is_map(table) && !set.reject_taken(table, taken)) set.place(table);
  set.sort();
  return set;
}

bool FamilySet::reject_taken(const Table& table, std::span<const std::string_view> taken) {
  const Layout& layout = table.layout();
  const std::string totals = std::string(kTotalsFamily) + "_";
  for (const FamilyNames& names : family_names(layout)) {
    for (const std::string& name : names.samples) {
      const bool own = std::ranges::find(taken, name) != taken.end();
      if (!own && !name.starts_with(totals)) continue;
      rejected_.push_back({layout.map, "map " + layout.map + ": gives " + name + ", which " +
                                           (own ? "the exporter has of itself"
                                                : "is a name of the module's totals") +
                                           "; rename its value struct or member"});
      return true;
    }
  }
  return false;
}

void FamilySet::reject_clash(const Layout& layout, const Layout& other) {
  rejected_.push_back({layout.map, "map " + layout.map + ": gives " + layout.family +
                                       " with other labels or counters than map " + other.map +
                                       "; rename its value struct"});
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
        return reject_clash(table.layout(), view.table->layout());
    }
  }
  add_view(table);
}

void FamilySet::add_view(const Table& table) {
  const Layout& layout = table.layout();
  const View& view = views_.emplace_back(View{&table, {}, labels_by_name(layout)});
  for (std::uint32_t i = 0; i < layout.counters.size(); ++i) {
    const Counter& counter = layout.counters[i];
    if (counter.type == MetricType::kHistogram) continue;
    add_part(family_name(layout, counter), counter.type, {counter.name, counter.help}, {&view, i});
  }
  for (std::uint32_t i = 0; i < layout.histograms.size(); ++i) {
    const Histogram& histogram = layout.histograms[i];
    add_part(family_name(layout, histogram), MetricType::kHistogram,
             {histogram.name, histogram.help}, {&view, i});
  }
}

void FamilySet::add_part(const std::string& name, MetricType type, const Words& words,
                         const Part& part) {
  const Layout& layout = part.view->table->layout();
  auto family = std::ranges::find(families_, name, &Family::name);
  if (family == families_.end()) {
    families_.push_back(
        {name, type, words.help.empty() ? help_text(layout, words.name) : words.help, {}});
    family = families_.end() - 1;
  } else if (words.help.empty() && std::ranges::none_of(family->parts, [&](const Part& other) {
               return other.view->table->layout().map == layout.map;
             })) {
    family->help += ", " + layout.map;
  }
  family->parts.push_back(part);
}

void FamilySet::sort() {
  for (View& view : views_) view.rows = rows_by_key(*view.table);
  std::ranges::sort(families_, {}, &Family::name);
}

}  // namespace nfbpf::traffic
