// SPDX-License-Identifier: Apache-2.0
#include "exposition/label_text.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
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
      {{"f", FieldKind::kMac, 1, 6, {}}, bytes({1, 2, 0, 0xa, 0xff, 0x10, 5}), "02:00:0a:ff:10:05"},
      {{"f", FieldKind::kIfname, 0, 4, {{2, "eth0"}, {7, "wg0"}}}, bytes({7, 0, 0, 0}), "wg0"},
      {{"f", FieldKind::kIfname, 0, 4, {{2, "eth0"}, {7, "wg0"}}}, bytes({3, 0, 0, 0}), "3"},
      {{"f", FieldKind::kIfname, 0, 4, {}}, bytes({3, 0, 0, 0}), "3"},
  };
  for (const Case& c : cases) EXPECT_EQ(field(c.field, c.key), c.text);
}

TEST(LabelText, JoinsFlags) {
  const Field bits{"f", FieldKind::kFlags, 0, 1, {{1, "fin"}, {2, "syn"}, {16, "ack"}}};
  EXPECT_EQ(field(bits, bytes({2})), "syn");
  EXPECT_EQ(field(bits, bytes({18})), "syn|ack");
  EXPECT_EQ(field(bits, bytes({0x52})), "syn|ack|0x40");
  EXPECT_EQ(field(bits, bytes({0xc0})), "0xc0");
  EXPECT_EQ(field(bits, bytes({0})), "0");
  const Field named{"f", FieldKind::kFlags, 0, 1, {{0, "none"}, {3, "both"}, {1, "one"}}};
  EXPECT_EQ(field(named, bytes({0})), "none");
  EXPECT_EQ(field(named, bytes({3})), "both");
  EXPECT_EQ(field(named, bytes({1})), "one");
}

std::string text_of(const std::string& value) {
  const Field f{"f", FieldKind::kString, 0, static_cast<std::uint32_t>(value.size()), {}};
  std::vector<std::byte> key(value.size());
  std::memcpy(key.data(), value.data(), value.size());
  return field(f, key);
}

TEST(LabelText, WritesTextUpToItsEndAndBytesThatAreNoText) {
  using std::string_literals::operator""s;
  EXPECT_EQ(text_of("ssh\0d\0"s), "ssh");
  EXPECT_EQ(text_of("full"), "full");
  EXPECT_EQ(text_of("\0"s), "");
  EXPECT_EQ(text_of("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
            "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(text_of("a\"b"), "a\\\"b");
  // A backslash is shown as bytes are, so that no text looks like other bytes.
  EXPECT_EQ(text_of("a\\xff"), "a\\\\x5cxff");
  EXPECT_EQ(text_of("\xff\n\x7f"), "\\\\xff\\\\x0a\\\\x7f");
  EXPECT_EQ(text_of("\xc3"), "\\\\xc3") << "cut short";
  EXPECT_EQ(text_of("\xc0\xaf"), "\\\\xc0\\\\xaf") << "overlong";
  EXPECT_EQ(text_of("\xed\xa0\x80"), "\\\\xed\\\\xa0\\\\x80") << "a surrogate";
  EXPECT_EQ(text_of("\xf4\x90\x80\x80"), "\\\\xf4\\\\x90\\\\x80\\\\x80") << "past U+10FFFF";
}

TEST(LabelText, WritesTheAddressThatTheFamilyChooses) {
  const Field either{"f", FieldKind::kIpChoice, 1, 16, {}, {0, 1, 2, 10}};
  auto key = bytes({2, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  EXPECT_EQ(field(either, key), "192.0.2.1");
  key[0] = std::byte{10};
  EXPECT_EQ(field(either, key), "c000:201::1");
  key[0] = std::byte{3};
  EXPECT_EQ(field(either, key), "");
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
