// SPDX-License-Identifier: Apache-2.0
#include "exposition/label_text.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "string_sink.h"
#include "tables.h"

namespace nfbpf {
namespace {

using exposition::Page;
using traffic::Field;
using traffic::FieldKind;

std::string field(const Field& f, const std::vector<std::byte>& key) {
  return test::written([&](Page& page) { exposition::write_field(page, f, key); });
}

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> result;
  for (const int value : values) result.push_back(std::byte(value));
  return result;
}

TEST(LabelText, WritesEachKind) {
  struct Case {
    Field field;
    std::vector<std::byte> key;
    const char* text;
  };
  const Case cases[] = {
      {{"f", FieldKind::kIpv4, 1, 4, {}}, bytes({9, 192, 0, 2, 255}), "192.0.2.255"},
      {{"f", FieldKind::kPort, 0, 2, {}}, bytes({0x1f, 0x90}), "8080"},
      {{"f", FieldKind::kUintNetwork, 0, 4, {}}, bytes({0, 0, 1, 2}), "258"},
      {{"f", FieldKind::kUint, 0, 4, {}}, bytes({2, 1, 0, 0}), "258"},
      {{"f", FieldKind::kUint, 0, 8, {}},
       bytes({255, 255, 255, 255, 255, 255, 255, 255}),
       "18446744073709551615"},
      {{"f", FieldKind::kInt, 0, 2, {}}, bytes({254, 255}), "-2"},
      {{"f", FieldKind::kIfindex, 0, 4, {}}, bytes({3, 0, 0, 0}), "3"},
      {{"f", FieldKind::kProtocol, 0, 1, {}}, bytes({17}), "udp"},
      {{"f", FieldKind::kProtocol, 0, 1, {}}, bytes({253}), "253"},
      {{"f", FieldKind::kEnum, 0, 1, test::directions()}, bytes({2}), "in"},
      {{"f", FieldKind::kEnum, 0, 1, test::directions()}, bytes({9}), "9"},
  };
  for (const Case& c : cases) EXPECT_EQ(field(c.field, c.key), c.text);
}

std::string ipv6(const std::array<unsigned char, 16>& address) {
  return test::written([&](Page& page) {
    exposition::write_ipv6(page, reinterpret_cast<const std::byte*>(address.data()));
  });
}

std::string ipv6_of_libc(const std::array<unsigned char, 16>& address) {
  char text[INET6_ADDRSTRLEN];
  return ::inet_ntop(AF_INET6, address.data(), text, sizeof(text));
}

TEST(LabelText, WritesIpv6AsRfc5952Says) {
  for (const char* text : {"::", "::1", "1::", "2001:db8::1", "2001:db8:0:1::1", "2001:0:0:1::1",
                           "2001:db8:1:1:1:0:1:1", "fe80::1:2:3:4", "1:2:3:4:5:6:7:8", "1:0:0:2::",
                           "::ffff:192.0.2.1", "0:1::", "ff02::1:ff00:0", "::2:0:0:1:0"}) {
    std::array<unsigned char, 16> address{};
    ASSERT_EQ(::inet_pton(AF_INET6, text, address.data()), 1) << text;
    EXPECT_EQ(ipv6(address), text);
  }
}

// libc agrees but for addresses that are IPv4-compatible (::a.b.c.d), which RFC 5952 does not ask
// for.
TEST(LabelText, WritesIpv6AsLibcDoes) {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::array<unsigned char, 16> address{};
    // Mostly zero groups, so that runs of each length and place come up.
    for (std::size_t group = 0; group < 8; ++group)
      if (random() % 3 == 0)
        address[group * 2 + random() % 2] = static_cast<unsigned char>(random());
    bool starts_with_zeros = true;
    for (std::size_t byte = 0; byte < 12; ++byte) starts_with_zeros &= address[byte] == 0;
    if (starts_with_zeros) continue;
    ASSERT_EQ(ipv6(address), ipv6_of_libc(address));
  }
}

TEST(LabelText, EscapesLabelValuesAndHelp) {
  const std::string hostile = "a\\b\"c\nd\xc3\xa9";
  EXPECT_EQ(test::written([&](Page& p) { exposition::write_label_value(p, hostile); }),
            "a\\\\b\\\"c\\nd\xc3\xa9");
  EXPECT_EQ(test::written([&](Page& p) { exposition::write_help(p, hostile); }),
            "a\\\\b\"c\\nd\xc3\xa9");
  EXPECT_EQ(test::written([&](Page& p) { exposition::write_label_value(p, "\n\n"); }), "\\n\\n");
  EXPECT_EQ(test::written([&](Page& p) { exposition::write_label_value(p, ""); }), "");
}

}  // namespace
}  // namespace nfbpf
