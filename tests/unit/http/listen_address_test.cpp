// SPDX-License-Identifier: Apache-2.0
#include "http/listen_address.h"

#include <gtest/gtest.h>

namespace nfbpf::http {
namespace {

using Family = ListenAddress::Family;

TEST(ListenAddress, ParsesWhatTheFlagDocuments) {
  struct Case {
    const char* text;
    ListenAddress address;
  };
  const Case cases[] = {
      {":9987", {Family::kAny, "", 9987}},
      {"127.0.0.1:0", {Family::kIpv4, "127.0.0.1", 0}},
      {"[::1]:65535", {Family::kIpv6, "::1", 65535}},
      {"[2001:db8::1]:80", {Family::kIpv6, "2001:db8::1", 80}},
  };
  for (const Case& c : cases) {
    const auto address = ListenAddress::parse(c.text);
    ASSERT_TRUE(address) << c.text << ": " << address.error().what;
    EXPECT_EQ(*address, c.address);
    EXPECT_EQ(address->text(), c.text);
  }
}

TEST(ListenAddress, RefusesTheRestWithItsReason) {
  struct Case {
    const char* text;
    const char* why;
  };
  const Case cases[] = {
      {"", "it has no port"},
      {"9987", "it has no port"},
      {":", "the port is no number from 0 to 65535"},
      {":http", "the port is no number from 0 to 65535"},
      {":65536", "the port is no number from 0 to 65535"},
      {":-1", "the port is no number from 0 to 65535"},
      {":80s", "the port is no number from 0 to 65535"},
      {":80,:81", "an IPv6 address stands in brackets"},
      {"localhost:80", "the host is no IPv4 address"},
      {"300.0.0.1:80", "the host is no IPv4 address"},
      {"10.1:80", "the host is no IPv4 address"},
      {"::1:80", "an IPv6 address stands in brackets"},
      {"[::1:80", "an IPv6 address stands in brackets"},
      {"[]:80", "between the brackets is no IPv6 address"},
      {"[10.0.0.1]:80", "between the brackets is no IPv6 address"},
  };
  for (const Case& c : cases) {
    const auto address = ListenAddress::parse(c.text);
    ASSERT_FALSE(address) << c.text;
    EXPECT_EQ(address.error().what, std::string("\"") + c.text + "\" is no address to listen on: " +
                                        c.why + "; use :9987, 127.0.0.1:9987 or [::1]:9987");
  }
}

TEST(TelemetryPath, IsAPlainPathThatIsNoneOfOurOwn) {
  for (const char* good : {"/metrics", "/a/b.c", "/~x"})
    EXPECT_TRUE(check_telemetry_path(good)) << good;
  for (const char* bad : {"", "metrics", "/", "/-/healthy", "/a b", "/a?b", "/a#b", "/%61",
                          "/a/../b", "/a/.", "//a", "/\xc3\xa9", "/\"", "/<"})
    EXPECT_FALSE(check_telemetry_path(bad)) << bad;
}

}  // namespace
}  // namespace nfbpf::http
