// SPDX-License-Identifier: Apache-2.0
#include "http/query.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace nfbpf::http
