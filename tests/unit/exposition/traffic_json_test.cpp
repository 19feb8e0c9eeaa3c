// SPDX-License-Identifier: Apache-2.0
#include "exposition/traffic_json.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "exposition/label_text.h"
#include "string_sink.h"
#include "tables.h"

namespace nfbpf {
namespace {

using nlohmann::json;

json json_of(const traffic::Snapshot& snapshot, const exposition::Selection& selection = {}) {
  test::StringSink sink;
  exposition::write_traffic_json(sink, snapshot, {"1.2.3", "abc", "gcc"}, selection);
  return json::parse(sink.text);  // refuses control characters and what is no UTF-8
}

traffic::Snapshot snapshot() {
  traffic::Snapshot snapshot;
  snapshot.time = std::chrono::system_clock::time_point(std::chrono::milliseconds(1500));
  snapshot.collections = {{"maps", 0.1, {}}};
  auto table = test::table(test::ipv4_layout());
  test::add(table, test::ipv4_key(2, 6, "10.0.0.1", "10.0.0.2"),
            {7, (std::uint64_t{1} << 53U) + 1});
  snapshot.tables.push_back(std::move(table));
  return snapshot;
}

TEST(TrafficJson, HasRowsAsTheLabelsAndCountersSay) {
  const auto answer = json_of(snapshot());
  EXPECT_EQ(answer["time"], 1.5);
  EXPECT_EQ(answer["up"], true);
  EXPECT_EQ(answer["version"], "1.2.3");
  ASSERT_EQ(answer["tables"].size(), 1U);
  const auto& table = answer["tables"][0];
  EXPECT_EQ(table["rows"].size(), 1U);
  EXPECT_EQ(table["rows"][0].size(), table["labels"].size() + table["counters"].size());
  const auto& row = table["rows"][0];
  EXPECT_EQ(row[table["labels"].size()], 7);
  EXPECT_EQ(row.back(), "9007199254740993") << "no double has it";
}

TEST(TrafficJson, SaysInWordsWhatIsWrong) {
  auto bad = snapshot();
  bad.tables.clear();
  bad.collections[0].failure =
      traffic::Failure{traffic::ErrorClass::kRead, Error{0, "map \"x\": \xff broke"}};
  bad.unaccounted = {{{"ipv4", "local_in", 3}}};
  bad.skipped = {{"y", "map y: is odd"}};
  const auto answer = json_of(bad);
  EXPECT_EQ(answer["up"], false);
  EXPECT_TRUE(answer["tables"].empty());
  EXPECT_FALSE(answer.contains("datapath"));
  std::string all;
  for (const auto& line : answer["health"]) all += line["text"].get<std::string>() + "\n";
  for (const char* words : {"Collector maps: map \"x\"", "3 packets", "Not shown: map y"})
    EXPECT_NE(all.find(words), std::string::npos) << all;
  EXPECT_EQ(all.find("All collectors succeed"), std::string::npos);
}

// Any text that a label can have is text of JSON as well.
TEST(TrafficJson, EscapesLabels) {
  traffic::Layout layout;
  layout.map = layout.family = "m";
  layout.key_size = 4;
  layout.labels = {{"name", traffic::FieldKind::kString, 0, 4, {}, {}}};
  layout.counters = {{"hits", 0, 8}};
  auto some = snapshot();
  some.tables.clear();
  traffic::Table table(std::make_shared<const traffic::Layout>(layout), 1);
  const char key[4] = {'"', '\\', '\n', '\x7f'};
  table.append(reinterpret_cast<const std::byte*>(key))[0] = 1;
  some.tables.push_back(std::move(table));
  const auto answer = json_of(some);
  EXPECT_EQ(answer["tables"][0]["rows"][0][0], "\"\\x5c\\x0a\\x7f");
}

// Names that nobody checked, of interfaces, networks, enumerators and flags, and text of a program.
TEST(TrafficJson, IsJsonWhateverNamesAre) {
  using traffic::FieldKind;
  std::mt19937 random(7);
  const auto hostile = [&random] {
    constexpr std::string_view kOften = "\"\\\n\x00\x01\x1f\x7f\xff\xc3\xed\xa0\x80x{";
    std::string text;
    for (auto left = random() % 20; left > 0; --left)
      text += random() % 2 == 0 ? kOften[random() % kOften.size()] : static_cast<char>(random());
    return text;
  };
  for (int turn = 0; turn < 2000; ++turn) {
    traffic::Layout layout;
    layout.map = hostile(), layout.family = hostile();
    layout.key_size = 16;
    std::uint32_t offset = 0;
    for (const FieldKind kind :
         {FieldKind::kEnum, FieldKind::kIfname, FieldKind::kGroup, FieldKind::kFlags})
      layout.labels.push_back({hostile(), kind, offset++, 1, {{1, hostile()}, {2, hostile()}}, {}});
    layout.labels.push_back({hostile(), FieldKind::kString, 4, 12, {}, {}});
    layout.counters = {{hostile(), 0, 8}};
    std::vector<std::byte> key(16);
    for (std::byte& byte : key) byte = std::byte(random());
    for (std::size_t i = 0; i < 4; ++i) key[i] = std::byte(random() % 4);
    auto some = snapshot();
    some.tables.clear();
    some.tables.emplace_back(std::make_shared<const traffic::Layout>(layout), 1);
    some.tables[0].append(key.data())[0] = 1;
    some.skipped = {{"x", hostile()}};
    some.origin = traffic::Origin{};
    some.origin->datapath = {hostile(), hostile()};
    some.origin->program.name = hostile();
    ASSERT_NO_THROW({
      const auto answer = json_of(some);
      ASSERT_EQ(answer["tables"][0]["rows"][0].size(), 6U);
    }) << "turn "
       << turn;
  }
}

// Different names are different labels, or a page of metrics would have a series twice.
TEST(TrafficJson, TellsNamesApart) {
  std::set<std::string> seen;
  const std::vector<std::string> names = {"\x01",   "\\x01", "\\x5cx01", "\\\x01", "\\\\x01",
                                          "\xff",   "\\",    "\\\\",     "\n",     "\\n",
                                          "lan\\a", "\"",    "\\\""};
  for (const std::string& name : names) {
    const traffic::Field field{"f", traffic::FieldKind::kIfname, 0, 1, {{1, name}}};
    const std::byte key{1};
    seen.insert(test::written([&](exposition::Page& page) {
      write_field(page, field, {&key, 1});
    }));
  }
  EXPECT_EQ(seen.size(), names.size());
  EXPECT_TRUE(seen.contains("lan\\\\a")) << "a name stays readable";
}

// RFC 8259, 6: only integers up to 2^53 are the same for everybody who reads them.
TEST(TrafficJson, QuotesNumbersThatNoDoubleHolds) {
  traffic::Layout layout;
  layout.map = layout.family = "m";
  layout.counters = {{"gauge", 0, 8, traffic::Unit::kCount, traffic::MetricType::kGauge, true},
                     {"count", 8, 8}};
  constexpr std::int64_t kExact = std::int64_t{1} << 53;
  const std::pair<std::int64_t, json> signed_cases[] = {
      {-1, -1},
      {kExact, kExact},
      {-kExact, -kExact},
      {kExact + 1, "9007199254740993"},
      {-kExact - 1, "-9007199254740993"},
      {std::numeric_limits<std::int64_t>::min(), "-9223372036854775808"},
      {std::numeric_limits<std::int64_t>::max(), "9223372036854775807"}};
  const std::pair<std::uint64_t, json> cases[] = {
      {0, 0},
      {kExact, kExact},
      {kExact + 1, "9007199254740993"},
      {std::numeric_limits<std::uint64_t>::max(), "18446744073709551615"}};
  for (const auto& [gauge, gauge_text] : signed_cases) {
    for (const auto& [count, count_text] : cases) {
      auto some = snapshot();
      some.tables.clear();
      auto table = test::table(layout);
      test::add(table, {}, {static_cast<std::uint64_t>(gauge), count});
      some.tables.push_back(std::move(table));
      const auto answer = json_of(some);
      EXPECT_EQ(answer["tables"][0]["rows"][0], json::array({gauge_text, count_text}));
    }
  }
}

std::string health_of(const traffic::Snapshot& snapshot) {
  std::string all;
  const auto answer = json_of(snapshot);
  for (const auto& line : answer["health"])
    all += line["level"].get<std::string>() + ": " + line["text"].get<std::string>() + "\n";
  return all;
}

TEST(TrafficJson, SaysHowPacketsAreCounted) {
  auto some = snapshot();
  some.origin = traffic::Origin{};
  some.origin->datapath.name = "kmod";
  EXPECT_EQ(health_of(some),
            "ok: All collectors succeed.\n"
            "ok: The module nfbpf is loaded, and its hooks are there.\n");
  some.origin->datapath.name = "netfilter-link";
  EXPECT_NE(health_of(some).find("ok: Packets come by netfilter-link, without the module"),
            std::string::npos);
  some.origin->sample_every = 10;
  EXPECT_NE(health_of(some).find("warn: One packet in 10 is looked at"), std::string::npos);
}

// The module that is gone makes a collector fail too; that nothing is counted is said all the same.
TEST(TrafficJson, SaysThatNothingIsCountedThoughACollectorFails) {
  auto some = snapshot();
  some.origin = traffic::Origin{};
  some.origin->datapath.name = "kmod";
  some.counting = false;
  some.collections.push_back(
      {"hooks", 0, traffic::Failure{traffic::ErrorClass::kRead, Error{0, "no such folder"}}});
  const auto text = health_of(some);
  EXPECT_NE(text.find("error: Collector hooks: no such folder"), std::string::npos) << text;
  EXPECT_NE(text.find("error: Nothing is counted: the module nfbpf is not loaded"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("ok: "), std::string::npos) << text;
}

TEST(TrafficJson, MarksWhatOtherIsToldApartBy) {
  auto some = snapshot();
  auto layout = test::ipv4_layout();
  layout.key_size = 1;
  layout.labels = {{"direction", traffic::FieldKind::kEnum, 0, 1, test::directions()},
                   {"source", traffic::FieldKind::kOther, 0, 0, {{0, "other"}}}};
  auto other = test::table(layout);
  test::add(other, {std::byte{2}}, {1, 2});
  some.tables.push_back(std::move(other));
  const auto answer = json_of(some);
  EXPECT_FALSE(answer["tables"][0].contains("other_by"));
  EXPECT_EQ(answer["tables"][1]["other_by"], json::array({"direction"}));
  EXPECT_EQ(answer["tables"][1]["rows"][0], json::array({"in", "other", 1, 2}));
}

}  // namespace
}  // namespace nfbpf
