// SPDX-License-Identifier: Apache-2.0
#include "traffic/table.h"

#include <gtest/gtest.h>

#include <cstring>

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

// Text of 4 bytes, the number that chooses, and a union of addresses.
traffic::Layout text_and_union(bool family_shown) {
  using traffic::FieldKind;
  traffic::Layout layout;
  layout.key_size = 21;
  layout.labels = {{"text", FieldKind::kString, 0, 4, {}},
                   {"ip", FieldKind::kIpChoice, 5, 16, {}, {4, 1, 1, 2}}};
  if (family_shown) layout.labels.push_back({"family", FieldKind::kUint, 4, 1, {}});
  layout.counters = {{"packets", 0, 8}};
  return layout;
}

std::vector<std::byte> text_and_union_key(const char (&text)[5], int family, int tail) {
  std::vector<std::byte> key(21);
  std::memcpy(key.data(), text, 4);
  key[4] = std::byte(family);
  key[5] = std::byte{10};
  key[20] = std::byte(tail);
  return key;
}

std::size_t rows_of(bool family_shown, const std::vector<std::byte>& a,
                    const std::vector<std::byte>& b) {
  auto table = test::table(text_and_union(family_shown));
  test::add(table, a, {1});
  test::add(table, b, {2});
  return traffic::fold_hidden(std::move(table)).rows();
}

TEST(FoldHidden, AddsRowsWhoseTextsAreEqualUpToTheNul) {
  EXPECT_EQ(rows_of(true, text_and_union_key("a\0xy", 2, 0), text_and_union_key("a\0zz", 2, 0)),
            1U);
  EXPECT_EQ(rows_of(true, text_and_union_key("abcd", 2, 0), text_and_union_key("abce", 2, 0)), 2U);
}

TEST(FoldHidden, AddsRowsWhoseUnionsAreShownAlike) {
  const auto key = [](int family, int tail) { return text_and_union_key("abcd", family, tail); };
  EXPECT_EQ(rows_of(true, key(1, 1), key(1, 2)), 1U) << "behind an IPv4 address";
  EXPECT_EQ(rows_of(true, key(2, 1), key(2, 2)), 2U) << "in an IPv6 address";
  EXPECT_EQ(rows_of(true, key(7, 1), key(7, 2)), 1U) << "neither address";
  EXPECT_EQ(rows_of(true, key(7, 1), key(8, 1)), 2U) << "a family that is shown";
  EXPECT_EQ(rows_of(false, key(7, 1), key(8, 2)), 1U) << "a family that is not shown";
  EXPECT_EQ(rows_of(false, key(1, 0), key(2, 0)), 2U) << "it still chooses";
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
