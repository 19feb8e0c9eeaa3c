// SPDX-License-Identifier: Apache-2.0
#include "traffic/unaccounted.h"

#include <gtest/gtest.h>

#include <array>

namespace nfbpf::traffic {
namespace {

const std::vector<EnumName> kDirections = {{2, "in"}, {3, "forward"}, {4, "out"}};
const std::vector<EnumName> kFamilies = {{1, "ipv4"}, {2, "ipv6"}};
const std::vector<EnumName> kTotalsFamilies = {{0, "ipv4"}, {1, "ipv6"}};
const std::vector<EnumName> kHooks = {{1, "local_in"}, {2, "forward"}, {3, "local_out"}};

// Keys of two bytes: direction and a family (or, in the pair maps, whatever tells rows apart).
Table map_of(const char* name, bool with_family,
             std::vector<std::tuple<int, int, std::uint64_t>> rows) {
  auto layout = std::make_shared<Layout>();
  layout->map = name;
  layout->key_size = 2;
  layout->labels = {{"direction", FieldKind::kEnum, 0, 1, kDirections}};
  if (with_family) layout->labels.push_back({"family", FieldKind::kEnum, 1, 1, kFamilies});
  layout->counters = {{"packets", 0, 8}};
  Table table(layout, 16);
  for (const auto& [direction, other, packets] : rows) {
    const std::array key{static_cast<std::byte>(direction), static_cast<std::byte>(other)};
    table.append(key.data())[0] = packets;
  }
  return table;
}

Table totals_of(std::vector<std::tuple<int, int, std::uint64_t>> rows) {
  auto layout = std::make_shared<Layout>();
  layout->map = "totals";
  layout->key_size = 2;
  layout->labels = {{"family", FieldKind::kEnum, 0, 1, kTotalsFamilies},
                    {"hook", FieldKind::kEnum, 1, 1, kHooks}};
  layout->counters = {{"packets", 0, 8}};
  Table table(layout, 0);
  for (const auto& [family, hook, packets] : rows) {
    const std::array key{static_cast<std::byte>(family), static_cast<std::byte>(hook)};
    table.append(key.data())[0] = packets;
  }
  return table;
}

std::vector<Table> maps() {
  return {map_of("nfbpf_ipv4", false, {{2, 1, 10}, {2, 2, 5}, {4, 1, 7}}),
          map_of("nfbpf_ipv6", false, {{2, 1, 100}}), map_of("nfbpf_overflow", true, {{2, 1, 2}}),
          map_of("nfbpf_filtered", true, {{2, 2, 3}, {4, 1, 1}})};
}

TEST(Unaccounted, IsWhatNoMapHolds) {
  const auto left =
      unaccounted(totals_of({{0, 1, 17}, {0, 3, 11}, {1, 1, 103}, {1, 2, 4}}), maps());
  ASSERT_TRUE(left);
  EXPECT_EQ(*left, (std::vector<Unaccounted>{{"ipv4", "local_in", 0},
                                             {"ipv4", "local_out", 3},
                                             {"ipv6", "local_in", 0},
                                             {"ipv6", "forward", 4}}));
}

TEST(Unaccounted, IsNoneWhereTheMapsAreAheadOfTheTotals) {
  const auto left = unaccounted(totals_of({{0, 1, 16}}), maps());
  ASSERT_TRUE(left);
  EXPECT_EQ(left->front().packets, 0U);
}

TEST(Unaccounted, CannotBeSaidWithoutAMapOrWithoutDirections) {
  auto some = maps();
  some.pop_back();
  EXPECT_FALSE(unaccounted(totals_of({}), some));
  some = maps();
  auto layout = std::make_shared<Layout>(some[0].layout());
  layout->labels.clear();
  some[0] = Table(layout, 16);
  EXPECT_FALSE(unaccounted(totals_of({}), some));
}

}  // namespace
}  // namespace nfbpf::traffic
