// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "traffic/snapshot.h"
#include "traffic/table.h"

namespace nfbpf::traffic {

// A table in the order in which it is shown.
struct View {
  const Table* table = nullptr;
  std::vector<std::uint32_t> rows;    // by key, so that a page of the same rows is the same page
  std::vector<std::uint32_t> labels;  // indices into layout().labels, by label name
};

// One counter or histogram of one view.
struct Part {
  const View* view = nullptr;
  std::uint32_t index = 0;  // into layout().counters; of a histogram into layout().histograms
};

// One metric family: the same counter of one or more tables, e.g. IPv4 and IPv6.
struct Family {
  std::string name;  // of a counter with _total
  MetricType type = MetricType::kCounter;
  std::string help;
  std::vector<Part> parts;  // not empty; their series are disjoint
};

// The series of a snapshot, ready to be rendered. Points into the snapshot's tables, which must
// outlive it.
class FamilySet {
 public:
  // Tables of the same family name and label names become one family. A table that would give
  // series which another table gives already, in a way that cannot be added up, is left out and
  // named in rejected(); so is a map with a family of a name in `taken`, which others write, or of
  // a name of the module's totals. Tables that are no maps (the totals) go first.
  static FamilySet build(const std::vector<Table>& tables,
                         std::span<const std::string_view> taken = {});

  [[nodiscard]] const std::vector<Family>& families() const { return families_; }  // by name
  [[nodiscard]] const std::vector<SkippedMap>& rejected() const { return rejected_; }

 private:
  // A member's name, and its help where a person gave one.
  struct Words {
    const std::string& name;
    const std::string& help;
  };

  FamilySet() = default;
  [[nodiscard]] bool reject_taken(const Table& table, std::span<const std::string_view> taken);
  void place(const Table& table);
  void reject_clash(const Layout& layout, const Layout& other);
  void add_view(const Table& table);
  void add_part(const std::string& name, MetricType type, const Words& words, const Part& part);
  void sort();

  std::list<Table> folded_;  // lists: addresses stay
  std::list<View> views_;
  std::vector<Family> families_;
  std::vector<SkippedMap> rejected_;
};

// The names of the module's totals begin so, whether or not the module is there.
inline constexpr const char* kTotalsFamily = "nfbpf_hook";

// The family name of one counter of a layout: family, counter and, if it is no gauge, _total.
[[nodiscard]] std::string family_name(const Layout& layout, const Counter& counter);
[[nodiscard]] std::string family_name(const Layout& layout, const Histogram& histogram);

// A family and the names that its samples have, of which no other family may have one.
struct FamilyNames {
  std::string family;
  MetricType type = MetricType::kCounter;
  std::vector<std::string> samples;
};
[[nodiscard]] FamilyNames family_names(const Layout& layout, const Counter& counter);
[[nodiscard]] FamilyNames family_names(const Layout& layout, const Histogram& histogram);
// Of every family of the layout.
[[nodiscard]] std::vector<FamilyNames> family_names(const Layout& layout);

}  // namespace nfbpf::traffic
