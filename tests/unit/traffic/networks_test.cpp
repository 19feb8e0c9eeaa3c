// SPDX-License-Identifier: Apache-2.0
#include "traffic/networks.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "tables.h"

namespace nfbpf::traffic {
namespace {

std::string name_of(const Networks& networks, const std::string& address) {
  std::byte bytes[16] = {};
  const bool ipv6 = address.find(':') != std::string::npos;
  EXPECT_EQ(::inet_pton(ipv6 ? AF_INET6 : AF_INET, address.c_str(), bytes), 1) << address;
  const auto number =
      ipv6 ? networks.find_ipv6(bytes) : networks.find_ipv4(std::span<const std::byte>(bytes, 4));
  return networks.names()[number].name;
}

TEST(Networks, TheLongestPrefixNamesAnAddress) {
  Networks networks;
  for (const auto& [cidr, name] :
       std::vector<std::pair<const char*, const char*>>{{"10.0.0.0/8", "site"},
                                                        {"10.1.0.0/16", "office"},
                                                        {"10.1.2.0/24", "lab"},
                                                        {"10.1.2.3", "printer"},
                                                        {"10.255.255.255/32", "last"},
                                                        {"255.255.255.255", "broadcast"},
                                                        {"0.0.0.0/32", "zero"},
                                                        {"2001:db8::/32", "site"},
                                                        {"2001:db8:1::/48", "lab"},
                                                        {"ffff::/16", "high"}}) {
    const auto ok = networks.add(cidr, name);
    ASSERT_TRUE(ok) << ok.error().what;
  }
  networks.finish();
  for (const auto& [address, name] : std::vector<std::pair<const char*, const char*>>{
           {"10.0.0.0", "site"},
           {"9.255.255.255", "external"},
           {"10.0.255.255", "site"},
           {"10.1.0.0", "office"},
           {"10.1.1.255", "office"},
           {"10.1.2.2", "lab"},
           {"10.1.2.3", "printer"},
           {"10.1.2.4", "lab"},
           {"10.1.3.0", "office"},
           {"10.2.0.0", "site"},
           {"10.255.255.254", "site"},
           {"10.255.255.255", "last"},
           {"11.0.0.0", "external"},
           {"0.0.0.0", "zero"},
           {"0.0.0.1", "external"},
           {"255.255.255.254", "external"},
           {"255.255.255.255", "broadcast"},
           {"2001:db8::1", "site"},
           {"2001:db8:1::1", "lab"},
           {"2001:db8:2::", "site"},
           {"2001:db9::", "external"},
           {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "high"},
           {"::ffff:10.1.2.3", "external"}})
    EXPECT_EQ(name_of(networks, address), name) << address;
}

TEST(Networks, WithoutAnyEverythingIsExternal) {
  Networks networks;
  networks.finish();
  EXPECT_EQ(name_of(networks, "10.0.0.1"), "external");
  EXPECT_EQ(name_of(networks, "::"), "external");
}

TEST(Networks, SayWhatIsWrong) {
  Networks networks;
  ASSERT_TRUE(networks.add("10.0.0.0/8", "a"));
  EXPECT_TRUE(networks.add("10.0.0.0/8", "a")) << "said twice";
  struct Case {
    const char* cidr;
    const char* name;
    const char* what;
  };
  for (const Case& c :
       {Case{"10.0.0.0/8", "b", "network 10.0.0.0/8 is called \"b\" and \"a\"; leave one out"},
        Case{"10.0.0.1/8", "b",
             "\"10.0.0.1/8\" has bits behind its length; leave them 0, or give a longer one"},
        Case{"10.0.0.0/33", "b", "\"10.0.0.0/33\" has no length from 0 to 32"},
        Case{"10.0.0.0/", "b", "\"10.0.0.0/\" has no length from 0 to 32"},
        Case{"2001:db8::/129", "b", "\"2001:db8::/129\" has no length from 0 to 128"},
        Case{"ten", "b", "\"ten\" is no network; give one such as 10.0.0.0/8 or 2001:db8::/32"},
        Case{"10.0.0.0/9", "other",
             "network 10.0.0.0/9 is called \"other\", which is the name of what is in no "
             "network or no series"}}) {
    const auto ok = networks.add(c.cidr, c.name);
    ASSERT_FALSE(ok) << c.cidr;
    EXPECT_EQ(ok.error().what, c.what);
  }
}

// Beside the plainest way to find the longest prefix.
TEST(Networks, FindWhatALinearSearchFinds) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    struct Plain {
      std::uint32_t first, length;
      std::string name;
    };
    Networks networks;
    std::vector<Plain> plain;
    for (std::uint32_t i = 0; i < 60; ++i) {
      // Few addresses, so that prefixes hold each other and touch.
      const auto length = static_cast<std::uint32_t>(random() % 33);
      const std::uint32_t mask = length == 0 ? 0 : ~0U << (32 - length);
      const std::uint32_t first = (0x0a000000U | (random() & 0xffU) | (random() % 2 << 31U)) & mask;
      in_addr address{htonl(first)};
      char text[INET_ADDRSTRLEN] = {};
      ::inet_ntop(AF_INET, &address, text, sizeof(text));
      const std::string name = "n" + std::to_string(i);
      if (networks.add(std::string(text) + "/" + std::to_string(length), name))
        plain.push_back({first, length, name});
    }
    networks.finish();
    for (int i = 0; i < 300; ++i) {
      const std::uint32_t wanted = random() % 3 == 0
                                       ? static_cast<std::uint32_t>(random())
                                       : 0x0a000000U | (random() & 0x1ffU) | (random() % 2 << 31U);
      const Plain* longest = nullptr;
      for (const Plain& one : plain) {
        const std::uint32_t mask = one.length == 0 ? 0 : ~0U << (32 - one.length);
        if ((wanted & mask) == one.first && (longest == nullptr || one.length > longest->length))
          longest = &one;
      }
      const std::uint32_t bytes = htonl(wanted);
      const auto number = networks.find_ipv4(std::as_bytes(std::span(&bytes, 1)));
      ASSERT_EQ(networks.names()[number].name, longest == nullptr ? "external" : longest->name);
    }
  }
}

TEST(Networks, HoldAHundredThousandPrefixesAndNoMore) {
  Networks networks;
  for (std::size_t i = 0; i < kMostPrefixes; ++i)
    ASSERT_TRUE(networks.add("10." + std::to_string(i >> 16U) + "." +
                                 std::to_string(i >> 8U & 0xffU) + "." + std::to_string(i & 0xffU),
                             "n" + std::to_string(i % 1000)));
  const auto ok = networks.add("192.0.2.1", "more");
  ASSERT_FALSE(ok);
  EXPECT_EQ(ok.error().what, "network 192.0.2.1 is one too many: at most 100000");
  networks.finish();
  EXPECT_EQ(name_of(networks, "10.1.0.5"), "n541");
}

Grouping grouping(Shown source, Shown destination) {
  auto networks = std::make_shared<Networks>();
  EXPECT_TRUE(networks->add("10.0.0.0/8", "site"));
  EXPECT_TRUE(networks->add("10.1.0.0/16", "lab"));
  networks->finish();
  return {networks, {{"source", source}, {"destination", destination}}};
}

TEST(Grouper, AddsGroupsBesideAddresses) {
  const auto layout = test::ipv4_layout();
  const Grouper grouper(layout, grouping(Shown::kBoth, Shown::kAddress));
  auto table = test::table(layout);
  test::add(table, test::ipv4_key(2, 6, "10.1.0.1", "192.0.2.1"), {5, 500});
  const auto grouped = grouper.apply(table);
  ASSERT_EQ(grouped.rows(), 1U);
  const auto& labels = grouped.layout().labels;
  ASSERT_EQ(labels.size(), 5U);
  EXPECT_EQ(labels[4].name, "source_group");
  const auto number = host_uint(grouped.key(0).data() + labels[4].offset, 4);
  EXPECT_EQ(labels[4].names[number].name, "lab");
}

TEST(Grouper, AddsUpRowsWhoseAddressIsNotShown) {
  const auto layout = test::ipv4_layout();
  const Grouper grouper(layout, grouping(Shown::kGroup, Shown::kGroup));
  auto table = test::table(layout);
  test::add(table, test::ipv4_key(2, 6, "10.1.0.1", "192.0.2.1"), {5, 500});
  test::add(table, test::ipv4_key(2, 6, "10.1.0.2", "192.0.2.7"), {6, 600});
  test::add(table, test::ipv4_key(2, 6, "10.2.0.2", "192.0.2.7"), {7, 700});
  const auto grouped = grouper.apply(table);
  ASSERT_EQ(grouped.rows(), 2U);
  EXPECT_EQ(grouped.values(0)[0], 11U);
  EXPECT_EQ(grouped.values(1)[1], 700U);
  EXPECT_EQ(grouped.layout().labels.size(), 4U);
}

TEST(Grouper, LeavesTheRestAlone) {
  EXPECT_FALSE(Grouper(test::ipv4_layout(), {}).changes_anything());
  EXPECT_FALSE(
      Grouper(test::ipv4_layout(), grouping(Shown::kAddress, Shown::kAddress)).changes_anything());
}

}  // namespace
}  // namespace nfbpf::traffic
