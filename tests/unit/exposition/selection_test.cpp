// SPDX-License-Identifier: Apache-2.0
#include "exposition/selection.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "exposition/traffic_json.h"
#include "string_sink.h"
#include "tables.h"

namespace nfbpf {
namespace {

using exposition::Selection;
using nlohmann::json;
using Parameters = std::vector<std::pair<std::string, std::string>>;

traffic::Snapshot snapshot() {
  traffic::Snapshot snapshot;
  snapshot.collections = {{"maps", 0.1, {}}};
  auto v4 = test::table(test::ipv4_layout());
  test::add(v4, test::ipv4_key(2, 6, "10.0.0.10", "10.0.0.1"), {9, 100});
  test::add(v4, test::ipv4_key(4, 17, "10.0.0.2", "10.0.0.1"), {1, 300});
  test::add(v4, test::ipv4_key(4, 6, "192.0.2.1", "10.0.0.2"), {5, 200});
  auto v6 = test::table(test::ipv6_layout());
  test::add(v6, test::ipv6_key(2, 6, "2001:db8::a", "::1"), {2, 250});
  auto layout = test::ipv4_layout();
  layout.key_size = 1;
  layout.labels = {{"direction", traffic::FieldKind::kEnum, 0, 1, test::directions()},
                   {"destination", traffic::FieldKind::kOther, 0, 0, {{0, "other"}}},
                   {"protocol", traffic::FieldKind::kOther, 0, 0, {{0, "other"}}},
                   {"source", traffic::FieldKind::kOther, 0, 0, {{0, "other"}}}};
  auto other = test::table(layout);
  test::add(other, {std::byte{2}}, {1000, 1000});
  snapshot.tables = {std::move(v4), std::move(v6), std::move(other)};
  return snapshot;
}

// Bytes of the rows that are left, by table.
json bytes_of(const Parameters& parameters) {
  const auto selection = Selection::of(parameters);
  EXPECT_TRUE(selection);
  EXPECT_TRUE(selection->check(snapshot()));
  test::StringSink sink;
  exposition::write_traffic_json(sink, snapshot(), {"1", "2", "3"}, *selection);
  json bytes = json::array();
  const auto answer = json::parse(sink.text);
  for (const auto& table : answer["tables"]) {
    json of_table = json::array();
    for (const auto& row : table["rows"]) of_table.push_back(row.back());
    bytes.push_back(of_table);
  }
  return bytes;
}

TEST(Selection, ShowsAllUnlessAsked) {
  EXPECT_EQ(bytes_of({}), json::parse("[[100,300,200],[250],[1000]]"));
}

TEST(Selection, FiltersByWordsOfAnyLabel) {
  EXPECT_EQ(bytes_of({{"filter", "TCP out"}}), json::parse("[[200],[],[]]"));
  EXPECT_EQ(bytes_of({{"filter", "10.0.0.2"}}), json::parse("[[300,200],[],[]]"));
  EXPECT_EQ(bytes_of({{"filter", " db8 "}}), json::parse("[[],[250],[]]"));
  EXPECT_EQ(bytes_of({{"filter", "nothing"}}), json::parse("[[],[],[]]"));
  EXPECT_EQ(bytes_of({{"filter", "other"}}), json::parse("[[],[],[]]")) << "is nobody's name";
  EXPECT_EQ(bytes_of({{"filter", " "}}), json::parse("[[100,300,200],[250],[1000]]"));
}

TEST(Selection, SortsByCountersDownAndByLabelsUp) {
  EXPECT_EQ(bytes_of({{"sort", "bytes"}}), json::parse("[[300,200,100],[250],[1000]]"));
  EXPECT_EQ(bytes_of({{"sort", "-bytes"}}), json::parse("[[100,200,300],[250],[1000]]"));
  EXPECT_EQ(bytes_of({{"sort", "packets"}}), json::parse("[[100,200,300],[250],[1000]]"));
  EXPECT_EQ(bytes_of({{"sort", "source"}}), json::parse("[[300,100,200],[250],[1000]]"))
      << "10.0.0.2 is before 10.0.0.10";
  EXPECT_EQ(bytes_of({{"sort", "direction"}}), json::parse("[[100,300,200],[250],[1000]]"));
}

TEST(Selection, LimitsEachFamilyToItsLargest) {
  EXPECT_EQ(bytes_of({{"limit", "2"}}), json::parse("[[300],[250],[]]"));
  EXPECT_EQ(bytes_of({{"limit", "3"}, {"sort", "packets"}}), json::parse("[[100,200],[250],[]]"));
  EXPECT_EQ(bytes_of({{"limit", "1"}, {"filter", "tcp"}}), json::parse("[[],[250],[]]"));
  EXPECT_EQ(bytes_of({{"limit", "1"}, {"sort", "-source"}}), json::parse("[[],[250],[]]"));
  EXPECT_EQ(bytes_of({{"limit", "10000000"}}), json::parse("[[300,200,100],[250],[]]"));
}

TEST(Selection, ComparesSignedNumbers) {
  traffic::Layout layout;
  layout.map = layout.family = "m";
  layout.key_size = 2;
  layout.labels = {{"level", traffic::FieldKind::kInt, 0, 2, {}}};
  layout.counters = {{"depth", 0, 8, traffic::Unit::kCount, traffic::MetricType::kGauge, true}};
  auto table = test::table(layout);
  const auto low = static_cast<std::uint64_t>(-5);
  test::add(table, {std::byte{0xff}, std::byte{0xff}}, {7});  // -1
  test::add(table, {std::byte{3}, std::byte{0}}, {low});
  test::add(table, {std::byte{0xfe}, std::byte{0xff}}, {0});  // -2
  const std::vector<traffic::Table> tables{table};
  EXPECT_EQ(Selection::of(Parameters{{"sort", "depth"}})->rows(tables)[0],
            (std::vector<std::size_t>{0, 2, 1}));
  EXPECT_EQ(Selection::of(Parameters{{"sort", "level"}})->rows(tables)[0],
            (std::vector<std::size_t>{2, 0, 1}));
}

TEST(Selection, RefusesWithTheNameAndWhatIsAllowed) {
  const std::pair<Parameters, const char*> cases[] = {
      {{{"limits", "3"}}, "has a parameter \"limits\"; there are filter, sort and limit"},
      {{{"limit", "3"}, {"limit", "4"}}, "limit: is there twice"},
      {{{"limit", "0"}}, "limit: has \"0\", allowed is 1 to 10000000"},
      {{{"limit", "-1"}}, "limit: has \"-1\""},
      {{{"limit", "1e3"}}, "limit: has \"1e3\""},
      {{{"limit", "99999999999999999999"}}, "limit: has \"99999999999999999999\""},
      {{{"limit", ""}}, "limit: has \"\""},
      {{{"sort", ""}}, "sort: is empty"},
      {{{"sort", "-"}}, "sort: is empty"},
      {{{"filter", std::string(257, 'x')}}, "filter: is 257 bytes long, the most is 256"}};
  for (const auto& [parameters, words] : cases) {
    const auto selection = Selection::of(parameters);
    ASSERT_FALSE(selection) << words;
    EXPECT_EQ(selection.error().what.find(words), 0U) << selection.error().what;
  }
  const auto ok = Selection::of(Parameters{{"sort", "rate"}})->check(snapshot());
  ASSERT_FALSE(ok);
  EXPECT_EQ(ok.error().what,
            "sort: has \"rate\", which is no label and no counter here; there are bytes, "
            "destination, direction, packets, protocol, source");
  EXPECT_TRUE(Selection::of(Parameters{{"sort", "rate"}})->check({})) << "there are no tables";
}

}  // namespace
}  // namespace nfbpf
