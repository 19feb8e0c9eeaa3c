// SPDX-License-Identifier: Apache-2.0
#include "traffic/cardinality.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tables.h"

namespace nfbpf::traffic {
namespace {

std::uint64_t size_of(const std::vector<LabelSetSize>& sizes, std::vector<std::string> labels) {
  const auto found = std::ranges::find(sizes, labels, &LabelSetSize::labels);
  return found == sizes.end() ? 0 : found->series;
}

TEST(Cardinality, CountsEachSetOfLabelsOverAllTablesOfAFamily) {
  std::vector<Table> tables;
  tables.push_back(test::table(test::ipv4_layout()));
  test::add(tables[0], test::ipv4_key(2, 6, "10.0.0.1", "10.0.0.2"), {1, 1});
  test::add(tables[0], test::ipv4_key(2, 6, "10.0.0.1", "10.0.0.3"), {1, 1});
  test::add(tables[0], test::ipv4_key(4, 17, "10.0.0.1", "10.0.0.3"), {1, 1});
  tables.push_back(test::table(test::ipv6_layout()));
  test::add(tables[1], test::ipv6_key(4, 17, "fd00::1", "fd00::2"), {1, 1});
  const auto sizes = label_set_sizes(tables);
  EXPECT_EQ(sizes.size(), 15U);
  EXPECT_EQ(size_of(sizes, {"source"}), 2U);
  EXPECT_EQ(size_of(sizes, {"destination"}), 3U);
  EXPECT_EQ(size_of(sizes, {"destination", "protocol", "source"}), 4U);
  EXPECT_EQ(size_of(sizes, {"destination", "direction", "protocol", "source"}), 4U);
  EXPECT_EQ(sizes.front().series, 2U) << "the fewest first";
}

TEST(Cardinality, OfManyLabelsCountsSinglesPairsAndAll) {
  auto layout = test::ipv4_layout();
  for (const char* name : {"a", "b", "c", "d"})
    layout.labels.push_back({name, FieldKind::kUint, 2, 1, {}});
  const std::vector<Table> tables{test::table(layout)};
  EXPECT_EQ(label_set_sizes(tables).size(), 8U + 28 + 1);
}

}  // namespace
}  // namespace nfbpf::traffic
