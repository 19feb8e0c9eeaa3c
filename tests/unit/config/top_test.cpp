// SPDX-License-Identifier: Apache-2.0
#include "top.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "folder.h"
#include "top_rates.h"

namespace nfbpf {
namespace {

using nlohmann::json;

// A list of what it is given; nlohmann-json takes braces for an object where it can.
template <typename... Items>
json list(const Items&... items) {
  json all = json::array();
  (all.push_back(items), ...);
  return all;
}

json row(const char* direction, const char* source, const char* destination, const json& packets,
         const json& bytes) {
  return list(direction, source, destination, packets, bytes);
}

const json kLabels = list("direction", "source", "destination");
const json kCounters = json::parse(R"([{"name": "packets"}, {"name": "bytes"}])");

json table(const char* map, const json& rows) {
  return {
      {"map", map}, {"family", "f"}, {"labels", kLabels}, {"counters", kCounters}, {"rows", rows}};
}

json other(const char* map, const json& rows) {
  auto made = table(map, rows);
  made["other_by"] = list("direction");
  return made;
}

json answer(double time, const json& tables) {
  return {{"time", time}, {"version", "1"}, {"health", json::array()}, {"tables", tables}};
}

std::map<std::string, double> bytes(const std::vector<RowRate>& rows) {
  std::map<std::string, double> all;
  for (const RowRate& row : rows) all[row.name] = row.bytes;
  return all;
}

using Rates = std::map<std::string, double>;

TEST(TopRates, AreWhatRowsGrewByInASecond) {
  TopRates rates(false);
  const json a = row("in", "1.1.1.1", "2.2.2.2", 1, 1000);
  EXPECT_EQ(bytes(rates.next(answer(10, list(table("m", list(a)))))),
            (Rates{{"1.1.1.1 > 2.2.2.2  in", 0}}));
  const json b = row("in", "1.1.1.1", "2.2.2.2", 5, 1500);
  const json fresh = row("out", "3.3.3.3", "2.2.2.2", 5, 100);
  const auto rows = rates.next(answer(12, list(table("m", list(b, fresh)))));
  EXPECT_EQ(bytes(rows), (Rates{{"1.1.1.1 > 2.2.2.2  in", 250}, {"3.3.3.3 > 2.2.2.2  out", 50}}));
  EXPECT_EQ(rows[0].packets, 2) << "the busiest comes first";
  // It fell, or the clock was set back.
  EXPECT_EQ(bytes(rates.next(answer(14, list(table("m", list(a))))))["1.1.1.1 > 2.2.2.2  in"], 0);
  EXPECT_EQ(bytes(rates.next(answer(4, list(table("m", list(b))))))["1.1.1.1 > 2.2.2.2  in"], 0);
}

TEST(TopRates, DoNotShowAsTrafficOfOtherWhatMovedThere) {
  TopRates rates(false);
  const json in = row("in", "1.1.1.1", "2.2.2.2", 1, 1000000);
  const json out = row("out", "1.1.1.1", "2.2.2.2", 1, 7);
  (void)rates.next(answer(0, list(table("v4", list(in, out)), table("v6", json::array()),
                                  other("v4", list(row("in", "other", "other", 1, 50))),
                                  other("v6", list(row("in", "other", "other", 1, 900000))))));
  // Gone, with 40 that it counted after that.
  EXPECT_EQ(
      bytes(rates.next(answer(2, list(table("v4", list(out)), table("v6", json::array()),
                                      other("v4", list(row("in", "other", "other", 2, 1000090))),
                                      other("v6", list(row("in", "other", "other", 1, 900002))))))),
      (Rates{{"1.1.1.1 > 2.2.2.2  out", 0}, {"other > other  in", 21}}));
  // Gone without being there: no more than nothing.
  EXPECT_EQ(
      bytes(rates.next(answer(4, {table("v4", json::array()), table("v6", json::array()),
                                  other("v4", list(row("in", "other", "other", 2, 1000090),
                                                   row("out", "other", "other", 2, 3))),
                                  other("v6", list(row("in", "other", "other", 1, 900002)))}))),
      (Rates{{"other > other  in", 0}, {"other > other  out", 0}}));
}

TEST(TopRates, GoOnWhereAMapWasThatCouldNotBeRead) {
  TopRates rates(false);
  const auto at = [](std::uint64_t count) {
    return table("m", list(row("in", "1.1.1.1", "2.2.2.2", 1, count)));
  };
  (void)rates.next(answer(0, list(at(5000))));
  EXPECT_TRUE(rates.next(answer(2, json::array())).empty());
  EXPECT_EQ(bytes(rates.next(answer(4, list(at(5400)))))["1.1.1.1 > 2.2.2.2  in"], 100);
}

TEST(TopRates, AreExactBeyondWhatADoubleHolds) {
  TopRates rates(false);
  const auto at = [](const json& count) {
    return table("m", list(row("in", "1.1.1.1", "2.2.2.2", 1, count)));
  };
  (void)rates.next(answer(0, list(at("18446744073709551601"))));
  EXPECT_EQ(bytes(rates.next(answer(2, list(at("18446744073709551615")))))["1.1.1.1 > 2.2.2.2  in"],
            7);
}

TEST(TopRates, DoNotTakeForNewWhatWasNotAskedFor) {
  TopRates rates(true);
  const json a = row("in", "1.1.1.1", "2.2.2.2", 1, 1000);
  const json b = row("in", "3.3.3.3", "2.2.2.2", 1, 2000);
  (void)rates.next(answer(0, list(table("m", list(a)))));
  EXPECT_TRUE(rates.next(answer(2, list(table("m", list(b))))).empty());
  EXPECT_EQ(bytes(rates.next(answer(4, list(table("m", list(b)))))),
            (Rates{{"3.3.3.3 > 2.2.2.2  in", 0}}));
}

TEST(Top, GivesTheTerminalNothingThatCommandsIt) {
  EXPECT_EQ(for_terminal("a\x1b[2J\x07\x7f\xc2\x9b\xc2\xa0z\r\n", 0), "a?[2J???\xc2\xa0z??");
  EXPECT_EQ(for_terminal("d\xc3\xa9j\xc3\xa0", 2), "d\xc3\xa9");
  EXPECT_EQ(for_terminal("abc", 3), "abc");
}

TEST(TopClient, RefusesWithTheFlagAndWhatItWants) {
  const test::Folder folder;
  const std::string empty = (folder.path() / "empty").string();
  const std::string password = (folder.path() / "password").string();
  std::ofstream(empty).close();
  std::ofstream(password) << "secret\n";
  const std::pair<TopServer, const char*> cases[] = {
      {TopServer{"ftp://x", "", "", "", "", ""},
       "--url ftp://x: is no http:// or https:// address"},
      {TopServer{"http://:1", "", "", "", "", ""}, "has no host or no port"},
      {TopServer{"http://a:b@x", "", "", "", "", ""}, "has a user"},
      {TopServer{"http://x y", "", "", "", "", ""}, "has a space"},
      {TopServer{"http://x", "ca.crt", "", "", "", ""}, "is not https"},
      {TopServer{"https://x", "/nowhere/ca.crt", "", "", "", ""}, "--ca-file /nowhere/ca.crt: "},
      {TopServer{"https://x", empty, "", "", "", ""}, "--ca-file "},
      {TopServer{"https://x", "", empty, "", "", ""}, "--cert-file and --key-file go together"},
      {TopServer{"https://x", "", empty, empty, "", ""}, "--cert-file "},
      {TopServer{"http://x", "", "", "", "u", ""}, "--user and --password-file go together"},
      {TopServer{"http://x", "", "", "", "u", "/nowhere"}, "--password-file /nowhere: "},
      {TopServer{"http://x", "", "", "", "u", empty}, "cannot be read, or is empty"}};
  for (const auto& [server, words] : cases) {
    const auto client = TopClient::open(server);
    ASSERT_FALSE(client) << words;
    EXPECT_NE(client.error().what.find(words), std::string::npos) << client.error().what;
  }
  EXPECT_TRUE(TopClient::open(TopServer{"http://[::1]:9/x", "", "", "", "u", password}));
  EXPECT_TRUE(TopClient::open(TopServer{"https://localhost", "", "", "", "", ""}));
}

}  // namespace
}  // namespace nfbpf
