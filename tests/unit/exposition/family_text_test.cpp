// SPDX-License-Identifier: Apache-2.0
#include "exposition/family_text.h"

#include <gtest/gtest.h>

#include "string_sink.h"
#include "tables.h"
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

// One table with a key of one byte, shown as a label if `label`.
std::string text_of(traffic::Layout layout, bool label, const std::vector<std::uint64_t>& values) {
  layout.map = "m";
  layout.family = "f";
  layout.key_size = 1;
  if (label) layout.labels = {{"k", traffic::FieldKind::kUint, 0, 1, {}}};
  std::vector<traffic::Table> tables;
  tables.push_back(test::table(layout));
  test::add(tables.back(), {std::byte{7}}, values);
  const auto families = traffic::FamilySet::build(tables);
  return test::written(
      [&](Page& page) { write_family(page, TextDialect(), families.families().front()); });
}

traffic::Counter gauge(const char* name, bool is_signed, traffic::Unit unit) {
  return {name, 0, 8, unit, traffic::MetricType::kGauge, is_signed};
}

TEST(FamilyText, WritesGaugesWithTheirSign) {
  traffic::Layout layout;
  layout.counters = {gauge("open", true, traffic::Unit::kCount)};
  const auto minus = ~std::uint64_t{0} - 4;  // -5
  EXPECT_EQ(text_of(layout, true, {minus}),
            "# HELP f_open Open by k; summed over CPUs from m\n# TYPE f_open gauge\n"
            "f_open{k=\"7\"} -5\n");
  layout.counters = {gauge("lag_seconds", true, traffic::Unit::kNanoseconds)};
  EXPECT_NE(text_of(layout, false, {minus}).find("\nf_lag_seconds -0.000000005\n"),
            std::string::npos);
  layout.counters = {gauge("open", false, traffic::Unit::kCount)};
  EXPECT_NE(text_of(layout, false, {minus}).find("\nf_open 18446744073709551611\n"),
            std::string::npos);
}

traffic::Layout histogram_layout(traffic::Unit unit) {
  traffic::Layout layout;
  const traffic::Counter part{"",   0, 8, traffic::Unit::kCount, traffic::MetricType::kHistogram,
                              false};
  layout.counters = {part, part, part, part};
  layout.histograms = {{"h", 0, 3, {1, 1500}, unit}};
  return layout;
}

TEST(FamilyText, WritesHistogramsCumulatively) {
  EXPECT_EQ(text_of(histogram_layout(traffic::Unit::kCount), true, {5, 0, 2, 4000}),
            "# HELP f_h H by k; summed over CPUs from m\n# TYPE f_h histogram\n"
            "f_h_bucket{k=\"7\",le=\"1.0\"} 5\n"
            "f_h_bucket{k=\"7\",le=\"1500.0\"} 5\n"
            "f_h_bucket{k=\"7\",le=\"+Inf\"} 7\n"
            "f_h_sum{k=\"7\"} 4000\n"
            "f_h_count{k=\"7\"} 7\n");
}

TEST(FamilyText, WritesHistogramsInSecondsAndWithoutLabels) {
  const auto text = text_of(histogram_layout(traffic::Unit::kNanoseconds), false, {5, 0, 2, 4000});
  EXPECT_EQ(text.substr(text.find("f_h_bucket")),
            "f_h_bucket{le=\"1e-09\"} 5\n"
            "f_h_bucket{le=\"1.5e-06\"} 5\n"
            "f_h_bucket{le=\"+Inf\"} 7\n"
            "f_h_sum 0.000004000\n"
            "f_h_count 7\n");
}

TEST(FamilyText, WritesBoundsAsPrometheusDoes) {
  const std::pair<double, const char*> cases[] = {
      {0, "0.0"},      {1, "1.0"},         {100000, "100000.0"}, {1e6, "1e+06"},
      {0.25, "0.25"},  {0.0001, "0.0001"}, {0.00001, "1e-05"},   {1048575, "1.048575e+06"},
      {123.5, "123.5"}};
  for (const auto& [bound, text] : cases) EXPECT_EQ(bound_text(bound), text);
}

}  // namespace
}  // namespace nfbpf::exposition
