// SPDX-License-Identifier: Apache-2.0
// The built-in program against a model of it: the same packets, the same maps.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "abi/nfbpf.h"
#include "bpf/traffic/loaded_program.h"
#include "bpf/traffic/random_packets.h"

namespace nfbpf::traffic_test {
namespace {

constexpr const char* kObjects = NFBPF_OBJECTS;
constexpr int kRandomPackets = 5000;

std::string object_for(const loader::Choices& choices) {
  return std::string(kObjects) + (choices.wide() ? "/traffic_flow.bpf.o" : "/traffic.bpf.o");
}

std::string hex(const Key& key) {
  std::string text;
  for (const std::byte byte : key) {
    char two[3];
    std::snprintf(two, sizeof(two), "%02x", std::to_integer<unsigned>(byte));
    text += two;
  }
  return text;
}

// The first few rows that differ, with both counts.
std::string difference(const Rows& model, const Rows& kernel) {
  std::string text;
  int left = 5;
  const auto tell = [&](const Key& key, const Count& wanted, const Count& got) {
    if (wanted == got || left-- <= 0) return;
    text += "\n  " + hex(key) + ": model " + std::to_string(wanted.packets) + "/" +
            std::to_string(wanted.bytes) + ", program " + std::to_string(got.packets) + "/" +
            std::to_string(got.bytes);
  };
  for (const auto& [key, count] : model)
    tell(key, count, kernel.contains(key) ? kernel.at(key) : Count{});
  for (const auto& [key, count] : kernel)
    if (!model.contains(key)) tell(key, {}, count);
  return text;
}

void expect_same(const Maps& model, const Maps& kernel) {
  EXPECT_EQ(difference(model.ipv4, kernel.ipv4), "");
  EXPECT_EQ(difference(model.ipv6, kernel.ipv6), "");
  EXPECT_EQ(difference(model.filtered, kernel.filtered), "");
  EXPECT_EQ(difference(model.overflow, kernel.overflow), "");
}

Count sum(const Maps& maps) {
  Count total;
  for (const Rows* rows : {&maps.ipv4, &maps.ipv6, &maps.filtered, &maps.overflow}) {
    for (const auto& [key, count] : *rows) {
      total.packets += count.packets;
      total.bytes += count.bytes;
    }
  }
  return total;
}

struct Case {
  const char* name;
  const char* key = "source,destination,protocol,direction";
  unsigned ipv4_prefix = 32;
  unsigned ipv6_prefix = 128;
  bool count_loopback = false;
  const char* rules = nullptr;
  std::uint32_t pairs = 65536;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.name;
}

const Case kCases[] = {
    {.name = "default"},
    {.name = "loopback_counts", .count_loopback = true},
    {.name = "prefixes", .ipv4_prefix = 24, .ipv6_prefix = 61},
    {.name = "no_addresses", .key = "protocol,direction"},
    {.name = "source_only", .key = "source"},
    {.name = "ports", .key = "source,destination,protocol,direction,ports"},
    {.name = "service", .key = "destination,protocol,service"},
    {.name = "everything",
     .key = "source,destination,protocol,direction,ports,service,icmp,tcp,interfaces,netns",
     .count_loopback = true},
    {.name = "few_pairs", .pairs = 20},
    {.name = "deny",
     .rules =
         "deny 192.0.2.0/28\nallow 192.0.2.3/32\ndeny 2001:db8::4\ndeny protocol 1\ndeny port 52"},
    {.name = "allow",
     .key = "source,destination,protocol,direction,ports",
     .rules =
         "allow 10.0.0.0/8\ndeny 10.1.0.2\nallow fd01::/16\nallow protocol udp\nallow port 51"},
};

class Traffic : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "loading programs needs root";
    const Case& one = GetParam();
    ASSERT_TRUE(loader::choose_key(choices_, one.key));
    choices_.ipv4_prefix = one.ipv4_prefix;
    choices_.ipv6_prefix = one.ipv6_prefix;
    choices_.count_loopback = one.count_loopback;
    choices_.filters = one.rules != nullptr;
    if (one.rules == nullptr) return;
    auto rules = loader::parse_rules(one.rules, one.name);
    ASSERT_TRUE(rules) << rules.error().what;
    rules_ = *rules;
  }

  loader::Choices choices_;
  loader::Rules rules_;
};

TEST_P(Traffic, CountsRandomPacketsAsTheModelDoes) {
  const Case& one = GetParam();
  LoadedProgram program(object_for(choices_), choices_, one.pairs);
  if (choices_.filters) program.set_rules(rules_);
  Model model(choices_, rules_, one.pairs);
  RandomPackets packets(20261124);
  for (int i = 0; i < kRandomPackets; ++i) {
    const Met met = packets.next();
    ASSERT_EQ(program.run(met), model.meet(met)) << "packet " << i;
  }
  expect_same(model.maps(), program.maps());
  EXPECT_GE(sum(model.maps()).packets, std::uint64_t{kRandomPackets});
  EXPECT_FALSE(model.maps().ipv4.empty());
  EXPECT_FALSE(model.maps().filtered.empty());
}

INSTANTIATE_TEST_SUITE_P(Choices, Traffic, testing::ValuesIn(kCases),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(TrafficSampling, AddsUpToWhatWasMet) {
  if (::geteuid() != 0) GTEST_SKIP() << "loading programs needs root";
  loader::Choices choices = loader::default_choices();
  choices.sample_every = 8;
  LoadedProgram program(object_for(choices), choices, 1024);
  Met met;
  met.bytes = packet::serialise(packet::Ipv4{} / packet::Udp{} / packet::Payload{72});
  constexpr double kRuns = 200000;
  program.run(met, static_cast<std::uint32_t>(kRuns));
  const Count counted = sum(program.maps());
  EXPECT_EQ(counted.bytes, counted.packets * 100);
  EXPECT_EQ(counted.packets % 8, 0U);
  // Six standard deviations of a binomial distribution: 8 * sqrt(n p (1 - p)).
  EXPECT_NEAR(static_cast<double>(counted.packets), kRuns, 6 * 8 * 148);
}

}  // namespace
}  // namespace nfbpf::traffic_test
