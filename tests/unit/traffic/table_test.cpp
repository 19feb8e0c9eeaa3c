// SPDX-License-Identifier: Apache-2.0
#include "traffic/table.h"

#include <gtest/gtest.h>

#include "tables.h"

namespace nfbpf {
namespace {

using test::ipv4_key;

TEST(Table, KeepsRowsInTheOrderTheyCame) {
  auto table = test::table(test::ipv4_layout());
  test::add(table, ipv4_key(2, 6, "10.0.0.2", "10.0.0.1"), {1, 60});
  test::add(table, ipv4_key(4, 6, "10.0.0.1", "10.0.0.2"), {2, 80});
  ASSERT_EQ(table.rows(), 2U);
  EXPECT_EQ(table.values(0)[1], 60U);
  EXPECT_EQ(table.values(1)[0], 2U);
  EXPECT_EQ(std::to_integer<int>(table.key(1)[0]), 4);
}

TEST(FoldHidden, LeavesCleanTablesAlone) {
  auto table = test::table(test::ipv4_layout());
  test::add(table, ipv4_key(2, 6, "10.0.0.2", "10.0.0.1"), {1, 60});
  const auto folded = traffic::fold_hidden(std::move(table));
  EXPECT_EQ(folded.rows(), 1U);
}

TEST(FoldHidden, AddsRowsThatDifferOnlyWhereNothingIsShown) {
  auto table = test::table(test::ipv4_layout());
  test::add(table, ipv4_key(2, 6, "10.0.0.2", "10.0.0.1", 7), {1, 60});
  test::add(table, ipv4_key(2, 6, "10.0.0.2", "10.0.0.1", 9), {2, 80});
  test::add(table, ipv4_key(2, 6, "10.0.0.3", "10.0.0.1", 0), {5, 5});
  const auto folded = traffic::fold_hidden(std::move(table));
  ASSERT_EQ(folded.rows(), 2U);
  EXPECT_EQ(folded.values(0)[0], 3U);
  EXPECT_EQ(folded.values(0)[1], 140U);
  EXPECT_EQ(std::to_integer<int>(folded.key(0)[2]), 0);
}

TEST(FoldTogether, AddsEqualKeysAndKeepsTheOthers) {
  auto a = test::table(test::ipv4_layout());
  auto b = test::table(test::ipv4_layout());
  test::add(a, ipv4_key(2, 6, "10.0.0.2", "10.0.0.1"), {1, 60});
  test::add(b, ipv4_key(2, 6, "10.0.0.2", "10.0.0.1"), {10, 600});
  test::add(b, ipv4_key(2, 17, "10.0.0.2", "10.0.0.1"), {3, 30});
  const auto both = traffic::fold_together(a, b);
  ASSERT_EQ(both.rows(), 2U);
  EXPECT_EQ(both.values(0)[0], 11U);
  EXPECT_EQ(both.values(1)[0], 3U);
  EXPECT_EQ(both.capacity(), 2048U);
}

}  // namespace
}  // namespace nfbpf
