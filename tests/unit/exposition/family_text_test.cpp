// SPDX-License-Identifier: Apache-2.0
#include "exposition/family_text.h"

#include <gtest/gtest.h>

#include "string_sink.h"
#include "traffic/families.h"

namespace nfbpf::exposition {
namespace {

// One table, one row without labels, one counter of nanoseconds.
std::string seconds_of(std::uint64_t nanoseconds) {
  traffic::Layout layout;
  layout.map = "m";
  layout.family = "f";
  layout.counters = {{"seconds", 0, 8, traffic::Unit::kNanoseconds}};
  std::vector<traffic::Table> tables;
  tables.emplace_back(std::make_shared<const traffic::Layout>(layout), 1);
  const std::byte no_key{};
  tables.back().append(&no_key)[0] = nanoseconds;
  const auto families = traffic::FamilySet::build(tables);
  const auto text = test::written(
      [&](Page& page) { write_family(page, TextDialect(), families.families().front()); });
  return text.substr(text.rfind(' ') + 1);
}

TEST(FamilyText, WritesNanosecondsAsExactSeconds) {
  EXPECT_EQ(seconds_of(0), "0.000000000\n");
  EXPECT_EQ(seconds_of(7), "0.000000007\n");
  EXPECT_EQ(seconds_of(1500000007), "1.500000007\n");
  EXPECT_EQ(seconds_of(~std::uint64_t{0}), "18446744073.709551615\n");
}

}  // namespace
}  // namespace nfbpf::exposition
