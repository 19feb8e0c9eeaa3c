// SPDX-License-Identifier: Apache-2.0
#include "http/query.h"

#include <gtest/gtest.h>

#include <random>

#include "exposition/label_text.h"

namespace nfbpf::http {
namespace {

TEST(Query, HasNamesAndValues) {
  const auto of = [](const char* query) { return parse_query(query).value(); };
  EXPECT_EQ(of(""), Parameters{});
  EXPECT_EQ(of("a=b&c=d"), (Parameters{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(of("&a&&b=&"), (Parameters{{"a", ""}, {"b", ""}}));
  EXPECT_EQ(of("a=b=c"), (Parameters{{"a", "b=c"}}));
  EXPECT_EQ(of("a=x+y%20z%26%3d%25%2B"), (Parameters{{"a", "x y z&=%+"}}));
  EXPECT_EQ(of("%61=%C3%a9%5c"), (Parameters{{"a", "\xc3\xa9\\"}}));
}

TEST(Query, RefusesWhatIsNoText) {
  for (const char* query : {"a=%", "a=%4", "a=%4g", "a=%-1", "a=%+1", "%zz=1", "a=% 1"})
    EXPECT_NE(parse_query(query).error().what.find("%25"), std::string::npos) << query;
  for (const char* query : {"a=%00", "a=%0a", "a=%7f", "a=%ff", "a=%c3", "a=%ed%a0%80", "a\x01=b"})
    EXPECT_NE(parse_query(query).error().what.find("control character"), std::string::npos)
        << query;
}

// Whatever comes, what is taken is text that may stand in an answer.
TEST(Query, TakesNothingButText) {
  std::mt19937 random(3);
  constexpr std::string_view kOften = "%%%&=+0aAfF\xc3\xa9";
  unsigned taken = 0;
  for (int turn = 0; turn < 20000; ++turn) {
    std::string query;
    for (auto left = random() % 12; left > 0; --left)
      query += random() % 4 != 0 ? kOften[random() % kOften.size()] : static_cast<char>(random());
    const auto parameters = parse_query(query);
    if (!parameters) continue;
    ++taken;
    for (const auto& [name, value] : *parameters)
      ASSERT_TRUE(exposition::is_printable(name) && exposition::is_printable(value)) << query;
  }
  EXPECT_GT(taken, 1000U);
}

}  // namespace
}  // namespace nfbpf::http
