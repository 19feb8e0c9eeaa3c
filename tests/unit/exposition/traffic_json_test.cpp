// SPDX-License-Identifier: Apache-2.0
#include "exposition/traffic_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tables.h"

namespace nfbpf {
namespace {

using nlohmann::json;

class StringSink final : public exposition::Sink {
 public:
  [[nodiscard]] bool write(std::string_view chunk) override {
    text += chunk;
    return true;
  }
  std::string text;
};

json json_of(const traffic::Snapshot& snapshot) {
  StringSink sink;
  exposition::write_traffic_json(sink, snapshot, {"1.2.3", "abc", "gcc"});
  return json::parse(sink.text);
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

}  // namespace
}  // namespace nfbpf
