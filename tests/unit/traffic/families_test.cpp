// SPDX-License-Identifier: Apache-2.0
#include "traffic/families.h"

#include <gtest/gtest.h>

#include "tables.h"

namespace nfbpf {
namespace {

using test::ipv4_key;
using test::ipv6_key;
using traffic::FamilySet;

std::vector<std::string> names(const FamilySet& set) {
  std::vector<std::string> result;
  for (const auto& family : set.families()) result.push_back(family.name);
  return result;
}

TEST(FamilySet, JoinsIpv4AndIpv6AndSortsFamiliesByName) {
  std::vector<traffic::Table> tables;
  tables.push_back(test::table(test::ipv6_layout()));
  tables.push_back(test::table(test::ipv4_layout()));
  const auto set = FamilySet::build(tables);
  EXPECT_EQ(names(set), (std::vector<std::string>{"nfbpf_source_destination_bytes_total",
                                                  "nfbpf_source_destination_packets_total"}));
  EXPECT_EQ(set.families()[0].parts.size(), 2U);
  EXPECT_TRUE(set.rejected().empty());
  EXPECT_EQ(
      set.families()[1].help,
      "Packets by destination, direction, protocol, source; summed over CPUs from nfbpf_ipv6, "
      "nfbpf_ipv4");
}

TEST(FamilySet, OrdersRowsByKeyWhateverTheMapsOrderIs) {
  std::vector<traffic::Table> tables;
  tables.push_back(test::table(test::ipv4_layout()));
  test::add(tables[0], ipv4_key(4, 6, "10.0.0.1", "10.0.0.2"), {1, 1});
  test::add(tables[0], ipv4_key(2, 6, "10.0.0.9", "10.0.0.1"), {2, 2});
  test::add(tables[0], ipv4_key(2, 6, "10.0.0.9", "10.0.0.0"), {3, 3});
  const auto set = FamilySet::build(tables);
  EXPECT_EQ(set.families()[0].parts[0].view->rows, (std::vector<std::uint32_t>{2, 1, 0}));
}

TEST(FamilySet, AddsUpMapsOfTheSameLayout) {
  auto second = test::ipv4_layout();
  second.map = "second";
  std::vector<traffic::Table> tables;
  tables.push_back(test::table(test::ipv4_layout()));
  tables.push_back(test::table(second));
  test::add(tables[0], ipv4_key(2, 6, "10.0.0.1", "10.0.0.2"), {1, 10});
  test::add(tables[1], ipv4_key(2, 6, "10.0.0.1", "10.0.0.2"), {2, 20});
  const auto set = FamilySet::build(tables);
  ASSERT_EQ(set.families()[1].parts.size(), 1U);
  const auto& view = *set.families()[1].parts[0].view;
  ASSERT_EQ(view.rows.size(), 1U);
  EXPECT_EQ(view.table->values(0)[0], 3U);
}

TEST(FamilySet, RefusesOtherLabelsUnderTheSameName) {
  auto odd = test::ipv4_layout();
  odd.map = "odd";
  odd.labels.pop_back();
  std::vector<traffic::Table> tables;
  tables.push_back(test::table(test::ipv4_layout()));
  tables.push_back(test::table(odd));
  const auto set = FamilySet::build(tables);
  ASSERT_EQ(set.rejected().size(), 1U);
  EXPECT_EQ(set.rejected()[0].why,
            "map odd: gives nfbpf_source_destination with other labels or counters than map "
            "nfbpf_ipv4; rename its value struct");
}

TEST(FamilySet, RefusesANameThatIsTaken) {
  auto odd = test::ipv4_layout();
  odd.map = "odd";
  odd.family = "nfbpf_scrape";
  odd.counters = {{"packets", 0, 8}, {"errors", 8, 8}};
  std::vector<traffic::Table> tables;
  tables.push_back(test::table(odd));
  tables.push_back(test::table(test::ipv4_layout()));
  constexpr std::string_view kTaken[] = {"nfbpf_scrape_errors_total"};
  const auto set = FamilySet::build(tables, kTaken);
  EXPECT_EQ(names(set), (std::vector<std::string>{"nfbpf_source_destination_bytes_total",
                                                  "nfbpf_source_destination_packets_total"}));
  ASSERT_EQ(set.rejected().size(), 1U);
  EXPECT_EQ(set.rejected()[0].why,
            "map odd: gives nfbpf_scrape_errors_total, which the exporter has of itself; rename "
            "its value struct or member");
}

TEST(FamilySet, RefusesAFamilyNameThatIsComposedTwice) {
  auto a = test::ipv4_layout();
  a.family = "nfbpf_a";
  a.counters = {{"b_c", 0, 8}};
  auto b = test::ipv4_layout();
  b.map = "second";
  b.family = "nfbpf_a_b";
  b.counters = {{"c", 0, 8}};
  b.labels.pop_back();
  std::vector<traffic::Table> tables;
  tables.push_back(test::table(a));
  tables.push_back(test::table(b));
  const auto set = FamilySet::build(tables);
  EXPECT_EQ(names(set), std::vector<std::string>{"nfbpf_a_b_c_total"});
  EXPECT_EQ(set.rejected().size(), 1U);
}

traffic::Layout layout_of(const char* map, std::vector<traffic::Counter> counters) {
  auto layout = test::ipv4_layout();
  layout.map = map;
  layout.family = "nfbpf_x";
  layout.counters = std::move(counters);
  return layout;
}

TEST(FamilySet, ShowsAHistogramAsOneFamilyAndItsPartsAsNone) {
  const traffic::Counter part{"",   0, 8, traffic::Unit::kCount, traffic::MetricType::kHistogram,
                              false};
  auto layout = layout_of("m", {part, part, {"hits", 16, 8}});
  layout.histograms = {{"size", 0, 1, {}, traffic::Unit::kCount, "Sizes."}};
  std::vector<traffic::Table> tables;
  tables.push_back(test::table(layout));
  const auto set = FamilySet::build(tables);
  EXPECT_EQ(names(set), (std::vector<std::string>{"nfbpf_x_hits_total", "nfbpf_x_size"}));
  EXPECT_EQ(set.families()[1].type, traffic::MetricType::kHistogram);
  EXPECT_EQ(set.families()[1].help, "Sizes.");
}

TEST(FamilySet, RefusesAMetricThatIsASampleOfAHistogram) {
  const traffic::Counter part{"",   0, 8, traffic::Unit::kCount, traffic::MetricType::kHistogram,
                              false};
  auto histogram = layout_of("m", {part, part});
  histogram.histograms = {{"size", 0, 1, {}}};
  std::vector<traffic::Table> tables;
  tables.push_back(test::table(histogram));
  tables.push_back(test::table(
      layout_of("n", {{"size_count", 0, 8, traffic::Unit::kCount, traffic::MetricType::kGauge}})));
  const auto set = FamilySet::build(tables);
  EXPECT_EQ(names(set), std::vector<std::string>{"nfbpf_x_size"});
  EXPECT_EQ(set.rejected().size(), 1U);
}

TEST(FamilySet, LetsNoMapTakeTheModulesTotals) {
  auto totals = test::ipv4_layout();
  totals.map = "the module's totals";
  totals.family = traffic::kTotalsFamily;
  auto impostor = totals;
  impostor.map = "impostor";
  for (const bool loaded : {true, false}) {
    std::vector<traffic::Table> tables;
    tables.push_back(test::table(impostor));
    if (loaded) tables.push_back(test::table(totals, 0));
    const auto set = FamilySet::build(tables);
    EXPECT_EQ(set.families().size(), loaded ? 2U : 0U);
    if (loaded) {
      EXPECT_EQ(set.families()[0].parts[0].view->table->layout().map, totals.map);
    }
    ASSERT_EQ(set.rejected().size(), 1U);
    EXPECT_EQ(set.rejected()[0].why,
              "map impostor: gives nfbpf_hook_packets_total, which is a name of the module's "
              "totals; rename its value struct or member");
  }
}

TEST(FamilyName, HasTotalForCountersAlone) {
  traffic::Layout layout;
  layout.family = "nfbpf_x";
  const auto gauge = [](const char* name) {
    return traffic::Counter{name, 0, 8, traffic::Unit::kCount, traffic::MetricType::kGauge};
  };
  EXPECT_EQ(traffic::family_name(layout, gauge("open")), "nfbpf_x_open");
  EXPECT_EQ(traffic::family_name(layout, gauge("open_total")), "nfbpf_x_open");
}

TEST(FamilyName, SaysTotalOnce) {
  traffic::Layout layout;
  layout.family = "nfbpf_x";
  EXPECT_EQ(traffic::family_name(layout, traffic::Counter{"drops_total", 0, 8}),
            "nfbpf_x_drops_total");
  EXPECT_EQ(traffic::family_name(layout, traffic::Counter{"", 0, 8}), "nfbpf_x_total");
}

}  // namespace
}  // namespace nfbpf
