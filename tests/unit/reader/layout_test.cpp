// SPDX-License-Identifier: Apache-2.0
#include "reader/layout.h"

#include <gtest/gtest.h>

#include <functional>

#include "abi_btf.h"

namespace nfbpf {
namespace {

using test::AbiBtf;
using traffic::Field;
using traffic::FieldKind;

Result<traffic::Layout> decode(AbiBtf& abi, int key, int value, const char* map = "some_map",
                               const traffic::MapRules& rules = {},
                               std::vector<std::string> hidden = {}) {
  const auto* b = abi.get();
  const auto size = [&](int id) {
    return static_cast<std::uint32_t>(btf__resolve_size(b, static_cast<__u32>(id)));
  };
  const reader::MapTypes types{map,
                               static_cast<std::uint32_t>(key),
                               static_cast<std::uint32_t>(value),
                               size(key),
                               size(value),
                               std::move(hidden)};
  return reader::decode_layout(reader::Btf(abi.release()), types, rules);
}

const std::vector<traffic::EnumName> kDirections = {
    {0, "unknown"}, {1, "prerouting"}, {2, "in"}, {3, "forward"}, {4, "out"}, {5, "postrouting"}};

TEST(DecodeLayout, ShowsTheBuiltInIpv4Map) {
  AbiBtf abi;
  const auto layout = decode(abi, abi.ipv4_key, abi.source_destination);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->family, "nfbpf_source_destination");
  EXPECT_EQ(layout->labels, (std::vector<Field>{{"direction", FieldKind::kEnum, 0, 1, kDirections},
                                                {"protocol", FieldKind::kProtocol, 1, 1, {}},
                                                {"source", FieldKind::kIpv4, 4, 4, {}},
                                                {"destination", FieldKind::kIpv4, 8, 4, {}}}));
  EXPECT_EQ(layout->counters, (std::vector<traffic::Counter>{{"packets", 0, 8}, {"bytes", 8, 8}}));
}

TEST(DecodeLayout, LeavesOutWhatTheManifestHides) {
  AbiBtf abi;
  const auto layout =
      decode(abi, abi.ipv4_key, abi.source_destination, "some_map", {}, {"source", "direction"});
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->labels, (std::vector<Field>{{"protocol", FieldKind::kProtocol, 1, 1, {}},
                                                {"destination", FieldKind::kIpv4, 8, 4, {}}}));
}

TEST(DecodeLayout, ShowsTheBuiltInIpv6Map) {
  AbiBtf abi;
  const auto layout = decode(abi, abi.ipv6_key, abi.source_destination);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->labels, (std::vector<Field>{{"protocol", FieldKind::kProtocol, 2, 1, {}},
                                                {"direction", FieldKind::kEnum, 3, 1, kDirections},
                                                {"source", FieldKind::kIpv6, 4, 16, {}},
                                                {"destination", FieldKind::kIpv6, 20, 16, {}}}));
}

// One member of a key, in a struct of its own.
struct MemberCase {
  const char* description;
  const char* name;
  std::uint32_t size;
  std::function<int(AbiBtf&)> type;
  std::vector<Field> labels;  // expected
};

const MemberCase kMembers[] = {
    {"a port", "port", 2, [](AbiBtf& b) { return b.port; }, {{"port", FieldKind::kPort, 0, 2, {}}}},
    {"an interface",
     "in",
     4,
     [](AbiBtf& b) { return b.ifindex; },
     {{"in", FieldKind::kIfindex, 0, 4, {}}}},
    {"a plain u64",
     "cookie",
     8,
     [](AbiBtf& b) { return b.u64_; },
     {{"cookie", FieldKind::kUint, 0, 8, {}}}},
    {"a signed int",
     "error",
     4,
     [](AbiBtf& b) { return b.s32_; },
     {{"error", FieldKind::kInt, 0, 4, {}}}},
    {"an interface's name",
     "in",
     4,
     [](AbiBtf& b) { return b.ifname; },
     {{"in", FieldKind::kIfname, 0, 4, {}}}},
    {"a MAC address",
     "from",
     6,
     [](AbiBtf& b) { return b.mac; },
     {{"from", FieldKind::kMac, 0, 6, {}}}},
    {"text",
     "comm",
     16,
     [](AbiBtf& b) { return b.array(b.char_, 16); },
     {{"comm", FieldKind::kString, 0, 16, {}}}},
    {"flags",
     "bits",
     1,
     [](AbiBtf& b) {
       const int bits = btf__add_enum(b.get(), "tcp_bit", 1);
       btf__add_enum_value(b.get(), "TCP_BIT_SYN", 2);
       btf__add_enum_value(b.get(), "TCP_BIT_ACK", 16);
       return b.add_typedef("nfbpf_flags_tcp_t", bits);
     },
     {{"bits", FieldKind::kFlags, 0, 1, {{2, "syn"}, {16, "ack"}}}}},
    {"a reserved member", "pad", 2, [](AbiBtf& b) { return b.reserved16; }, {}},
    {"__be32 named addr",
     "src_addr",
     4,
     [](AbiBtf& b) { return b.add_typedef("__be32", b.u32_); },
     {{"src_addr", FieldKind::kIpv4, 0, 4, {}}}},
    {"__be32 of another name",
     "spi",
     4,
     [](AbiBtf& b) { return b.add_typedef("__be32", b.u32_); },
     {{"spi", FieldKind::kUintNetwork, 0, 4, {}}}},
    {"const of a typedef of a typedef",
     "p",
     2,
     [](AbiBtf& b) { return btf__add_const(b.get(), b.add_typedef("my_port_t", b.port)); },
     {{"p", FieldKind::kPort, 0, 2, {}}}},
    {"struct in6_addr",
     "to",
     16,
     [](AbiBtf& b) {
       const int words = btf__add_array(b.get(), b.u32_, b.u32_, 4);
       const int id = btf__add_struct(b.get(), "in6_addr", 16);
       b.field("words", words, 0);
       return id;
     },
     {{"to", FieldKind::kIpv6, 0, 16, {}}}},
    {"a nested struct",
     "peer",
     6,
     [](AbiBtf& b) {
       const int id = btf__add_struct(b.get(), "endpoint", 6);
       b.field("address", b.ipv4, 0);
       b.field("port", b.port, 4);
       return id;
     },
     {{"peer_address", FieldKind::kIpv4, 0, 4, {}}, {"peer_port", FieldKind::kPort, 4, 2, {}}}},
};

TEST(DecodeLayout, ShowsEachKindOfMember) {
  for (const MemberCase& c : kMembers) {
    SCOPED_TRACE(c.description);
    AbiBtf abi;
    const int type = c.type(abi);
    const int key = btf__add_struct(abi.get(), "key", c.size);
    abi.field(c.name, type, 0);
    const auto layout = decode(abi, key, abi.source_destination);
    ASSERT_TRUE(layout) << layout.error().what;
    EXPECT_EQ(layout->labels, c.labels);
  }
}

TEST(DecodeLayout, NamesAScalarKeyAfterItsTypedef) {
  AbiBtf abi;
  const auto layout = decode(abi, abi.ifindex, abi.source_destination);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->labels, (std::vector<Field>{{"ifindex", FieldKind::kIfindex, 0, 4, {}}}));
}

TEST(DecodeLayout, NamesAScalarOrAnonymousValueAfterItsMap) {
  AbiBtf scalar;
  auto layout = decode(scalar, scalar.ipv4_key, scalar.u64_, "drops");
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->family, "nfbpf_drops");
  EXPECT_EQ(layout->counters, (std::vector<traffic::Counter>{{"", 0, 8}}));

  AbiBtf anonymous;
  const int value = anonymous.counted(nullptr);
  layout = decode(anonymous, anonymous.ipv4_key, value, "nfbpf_pairs");
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->family, "nfbpf_pairs");
}

TEST(DecodeLayout, KeepsEnumeratorsThatWouldLookLikeNumbers) {
  AbiBtf abi;
  const int mode = btf__add_enum(abi.get(), "mode", 4);
  btf__add_enum_value(abi.get(), "MODE_7", 3);
  btf__add_enum_value(abi.get(), "MODE_B", 4);
  const int key = btf__add_struct(abi.get(), "key", 4);
  abi.field("mode", mode, 0);
  const auto layout = decode(abi, key, abi.source_destination);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->labels[0].names,
            (std::vector<traffic::EnumName>{{3, "MODE_7"}, {4, "MODE_B"}}));
}

TEST(DecodeLayout, CutsNegativeEnumeratorsToTheirWidth) {
  AbiBtf abi;
  const int kind = btf__add_enum(abi.get(), "kind", 1);
  btf__add_enum_value(abi.get(), "KIND_NONE", -1);
  btf__add_enum_value(abi.get(), "KIND_SOME", 1);
  const int key = btf__add_struct(abi.get(), "key", 1);
  abi.field("kind", kind, 0);
  const auto layout = decode(abi, key, abi.source_destination);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->labels[0].names, (std::vector<traffic::EnumName>{{255, "none"}, {1, "some"}}));
}

// What a member of the value is shown as, in a struct of its own.
struct ValueCase {
  const char* description;
  const char* name;
  std::function<int(AbiBtf&)> type;
  traffic::Counter counter;  // expected
};

using traffic::MetricType;
using traffic::Unit;

const ValueCase kValues[] = {
    {"a counter", "drops", [](AbiBtf& b) { return b.u64_; }, {"drops", 0, 8}},
    {"a small counter", "drops", [](AbiBtf& b) { return b.u32_; }, {"drops", 0, 4}},
    {"a gauge",
     "open",
     [](AbiBtf& b) { return b.gauge; },
     {"open", 0, 8, Unit::kCount, MetricType::kGauge}},
    {"a signed number",
     "balance",
     [](AbiBtf& b) { return b.s64_; },
     {"balance", 0, 8, Unit::kCount, MetricType::kGauge, true}},
    {"a small signed number",
     "balance",
     [](AbiBtf& b) { return b.s32_; },
     {"balance", 0, 4, Unit::kCount, MetricType::kGauge, true}},
    {"nanoseconds by name",
     "run_ns",
     [](AbiBtf& b) { return b.u64_; },
     {"run_seconds", 0, 8, Unit::kNanoseconds}},
    {"nanoseconds by type",
     "run",
     [](AbiBtf& b) { return b.ns; },
     {"run_seconds", 0, 8, Unit::kNanoseconds}},
    {"nanoseconds alone",
     "ns",
     [](AbiBtf& b) { return b.u64_; },
     {"seconds", 0, 8, Unit::kNanoseconds}},
};

TEST(DecodeLayout, ShowsEachKindOfValue) {
  for (const ValueCase& c : kValues) {
    SCOPED_TRACE(c.description);
    AbiBtf abi;
    const int type = c.type(abi);
    const int value = btf__add_struct(abi.get(), "value", c.counter.size);
    abi.field(c.name, type, 0);
    const auto layout = decode(abi, abi.ipv4_key, value);
    ASSERT_TRUE(layout) << layout.error().what;
    EXPECT_EQ(layout->counters, std::vector<traffic::Counter>{c.counter});
  }
}

// The kernel's lock is nobody's counter.
TEST(DecodeLayout, HidesWhatTheKernelKeepsInAValue) {
  AbiBtf abi;
  const int lock = btf__add_struct(abi.get(), "bpf_spin_lock", 4);
  abi.field("val", abi.u32_, 0);
  const int value = btf__add_struct(abi.get(), "value", 16);
  abi.field("lock", lock, 0);
  abi.field("hits", abi.u64_, 8);
  const auto layout = decode(abi, abi.ipv4_key, value);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->counters, (std::vector<traffic::Counter>{{"hits", 8, 8}}));
}

// struct value { TYPE size[4]; __u64 size_sum; } and what else a test adds.
int slots_and_sum(AbiBtf& b, int type, const char* name, std::uint32_t slots = 4) {
  const int array = b.array(type, slots);
  const int value = btf__add_struct(b.get(), "value", 8 * slots + 8);
  b.field(name, array, 0);
  b.field((std::string(name) + "_sum").c_str(), b.u64_, 8 * slots);
  return value;
}

TEST(DecodeLayout, ShowsPowersOfTwoAsAHistogram) {
  AbiBtf abi;
  const int value = slots_and_sum(abi, abi.log2_slot, "run_ns");
  const auto layout = decode(abi, abi.ipv4_key, value);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(
      layout->histograms,
      (std::vector<traffic::Histogram>{{"run_seconds", 0, 4, {1, 3, 7}, Unit::kNanoseconds}}));
  ASSERT_EQ(layout->counters.size(), 5U);
  EXPECT_EQ(layout->counters[3],
            (traffic::Counter{"", 24, 8, Unit::kCount, MetricType::kHistogram}));
  EXPECT_EQ(layout->counters[4].offset, 32U) << "the sum";
}

TEST(DecodeLayout, HasABoundForEachBitButTheLast) {
  AbiBtf abi;
  const int value = slots_and_sum(abi, abi.log2_slot, "size", 64);
  const auto layout = decode(abi, abi.ipv4_key, value);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->histograms[0].bounds.size(), 63U);
  EXPECT_EQ(layout->histograms[0].bounds.back(), (1ULL << 63U) - 1);
}

int value_with_listed_bounds(AbiBtf& abi, std::initializer_list<int> bounds) {
  const int list = btf__add_enum(abi.get(), "sizes", 4);
  for (const int bound : bounds)
    btf__add_enum_value(abi.get(), ("SIZE_" + std::to_string(bound)).c_str(), bound);
  const int none = abi.array(list, 0);
  const int value = slots_and_sum(abi, abi.u64_, "size");
  abi.field("size_bounds", none, 40);
  return value;
}

TEST(DecodeLayout, TakesBoundsFromTheProgram) {
  AbiBtf abi;
  const int value = value_with_listed_bounds(abi, {64, 576, 1500});
  const auto layout = decode(abi, abi.ipv4_key, value);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->histograms,
            (std::vector<traffic::Histogram>{{"size", 0, 4, {64, 576, 1500}, Unit::kCount}}));
}

TEST(DecodeLayout, TakesBoundsFromTheConfigurationFirst) {
  AbiBtf abi;
  const int value = value_with_listed_bounds(abi, {64, 576, 1500});
  traffic::MapRules rules;
  rules.members["size"].bounds = {1, 2, 3};
  const auto layout = decode(abi, abi.ipv4_key, value, "m", rules);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->histograms[0].bounds, (std::vector<std::uint64_t>{1, 2, 3}));
}

// struct key { FAMILY family; union { nfbpf_ipv4_t v4; nfbpf_ipv6_t v6; } source; }
int union_key(AbiBtf& b, int family, std::uint32_t family_size,
              const char* family_name = "family") {
  const int either = btf__add_union(b.get(), nullptr, 16);
  b.field("v4", b.ipv4, 0);
  b.field("v6", b.ipv6, 0);
  const int key = btf__add_struct(b.get(), "key", 20);
  b.field(family_name, family, 0);
  if (family_size < 4) b.field("reserved", b.reserved8, family_size);
  b.field("source", either, 4);
  return key;
}

TEST(DecodeLayout, ShowsAUnionOfAddressesByItsFamily) {
  AbiBtf ours;
  int key = union_key(ours, ours.family, 1, "which");
  auto layout = decode(ours, key, ours.source_destination);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->labels.back(),
            (Field{"source", FieldKind::kIpChoice, 4, 16, {}, {0, 1, 1, 2}}));

  AbiBtf theirs;
  key = union_key(theirs, theirs.u16_, 2);
  layout = decode(theirs, key, theirs.source_destination);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->labels.back(),
            (Field{"source", FieldKind::kIpChoice, 4, 16, {}, {0, 2, 2, 10}}));
}

TEST(DecodeLayout, ChoosesByTheFamilyBesideTheUnion) {
  AbiBtf abi;
  const int endpoint = union_key(abi, abi.u32_, 4);
  const int key = btf__add_struct(abi.get(), "pair", 40);
  abi.field("from", endpoint, 0);
  abi.field("to", endpoint, 20);
  const auto layout = decode(abi, key, abi.source_destination);
  ASSERT_TRUE(layout) << layout.error().what;
  ASSERT_EQ(layout->labels.size(), 4U);
  EXPECT_EQ(layout->labels[3].name, "to_source");
  EXPECT_EQ(layout->labels[3].choice, (traffic::FamilyChoice{20, 4, 2, 10}));
}

TEST(DecodeLayout, TakesTagsForTypedefs) {
  AbiBtf abi;
  const int bytes = abi.array(abi.u8_, 8);
  const int key = btf__add_struct(abi.get(), "key", 12);
  abi.field("address", abi.u32_, 0);
  abi.field("note", bytes, 4);
  const int value = btf__add_struct(abi.get(), "value", 8);
  abi.field("open", abi.u64_, 0);
  btf__add_decl_tag(abi.get(), "nfbpf:ipv4", key, 0);
  btf__add_decl_tag(abi.get(), "somebody:else", key, 0);
  btf__add_decl_tag(abi.get(), "nfbpf:no_such_kind", key, 0);
  btf__add_decl_tag(abi.get(), "nfbpf:string", key, 1);
  btf__add_decl_tag(abi.get(), "nfbpf:gauge", value, 0);
  const auto layout = decode(abi, key, value);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->labels, (std::vector<Field>{{"address", FieldKind::kIpv4, 0, 4, {}},
                                                {"note", FieldKind::kString, 4, 8, {}}}));
  EXPECT_EQ(layout->counters[0].type, MetricType::kGauge);
}

TEST(DecodeLayout, FollowsTheConfiguration) {
  AbiBtf abi;
  traffic::MapRules rules;
  rules.family = "site_flows";
  rules.help = "What the site sees.";
  rules.labels["direction"].drop = true;
  rules.labels["source"].name = "client";
  rules.members["packets"].name = "frames";
  rules.members["packets"].help = "Frames.";
  rules.members["packets"].type = MetricType::kGauge;
  rules.members["bytes"].unit = traffic::NamedUnit::kNanoseconds;
  const auto layout = decode(abi, abi.ipv4_key, abi.source_destination, "m", rules);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->family, "site_flows");
  ASSERT_EQ(layout->labels.size(), 3U);
  EXPECT_EQ(layout->labels[1].name, "client");
  EXPECT_EQ(layout->counters,
            (std::vector<traffic::Counter>{
                {"frames", 0, 8, Unit::kCount, MetricType::kGauge, false, "Frames."},
                {"bytes_seconds", 8, 8, Unit::kNanoseconds, MetricType::kCounter, false,
                 "What the site sees."}}));
}

TEST(DecodeLayout, ShowsTheRestWhenAMemberThatCannotBeShownIsDropped) {
  AbiBtf abi;
  const int value = btf__add_struct(abi.get(), "value", 16);
  abi.field("flag", abi.u8_, 0);
  abi.field("hits", abi.u64_, 8);
  traffic::MapRules rules;
  rules.members["flag"].drop = true;
  const auto layout = decode(abi, abi.ipv4_key, value, "m", rules);
  ASSERT_TRUE(layout) << layout.error().what;
  EXPECT_EQ(layout->counters, (std::vector<traffic::Counter>{{"hits", 8, 8}}));
}

TEST(DecodeLayout, NamesAMemberOfTheConfigurationThatIsNotThere) {
  AbiBtf abi;
  traffic::MapRules rules;
  rules.members["packet"].drop = true;
  const auto layout = decode(abi, abi.ipv4_key, abi.source_destination, "m", rules);
  ASSERT_FALSE(layout);
  EXPECT_EQ(layout.error().what,
            "map m: value: has no member \"packet\", which the configuration names in members; it "
            "has packets, bytes");
}

struct RefusedCase {
  const char* description;
  std::function<std::pair<int, int>(AbiBtf&)> key_and_value;
  const char* error;
};

const RefusedCase kRefused[] = {
    {"an array in the key",
     [](AbiBtf& b) {
       const int array = b.array(b.u8_, 16);
       const int key = btf__add_struct(b.get(), "key", 16);
       b.field("name", array, 0);
       return std::pair{key, b.source_destination};
     },
     "map some_map: key name: is of a type that no label can show; use an integer, an enum, "
     "char[N] or a typedef of nfbpf.h"},
    {"a bit field",
     [](AbiBtf& b) {
       const int key = btf__add_struct(b.get(), "key", 4);
       btf__add_field(b.get(), "flag", b.u32_, 0, 1);
       return std::pair{key, b.source_destination};
     },
     "map some_map: key flag: is a bit field; give it whole bytes"},
    {"an address of another size",
     [](AbiBtf& b) {
       const int wrong = b.add_typedef("nfbpf_ipv4_t", b.u16_);
       const int key = btf__add_struct(b.get(), "key", 2);
       b.field("source", wrong, 0);
       return std::pair{key, b.source_destination};
     },
     "map some_map: key source: is a nfbpf_ipv4_t of 2 bytes"},
    {"a u8 counter",
     [](AbiBtf& b) {
       const int value = btf__add_struct(b.get(), "value", 1);
       b.field("hits", b.u8_, 0);
       return std::pair{b.ipv4_key, value};
     },
     "map some_map: value hits: is no counter; counters are __u64 or __u32"},
    {"nothing to count",
     [](AbiBtf& b) {
       const int value = btf__add_struct(b.get(), "value", 2);
       b.field("pad", b.reserved16, 0);
       return std::pair{b.ipv4_key, value};
     },
     "map some_map: value: has no counter to show"},
    {"two counters of one name",
     [](AbiBtf& b) {
       const int inner = btf__add_struct(b.get(), "inner", 8);
       b.field("b", b.u64_, 0);
       const int value = btf__add_struct(b.get(), "value", 16);
       b.field("a", inner, 0);
       b.field("a_b", b.u64_, 8);
       return std::pair{b.ipv4_key, value};
     },
     "map some_map: value a_b: gives nfbpf_value_a_b_total, as member a_b does; rename one of "
     "them"},
    {"two counters of one metric",
     [](AbiBtf& b) {
       const int value = btf__add_struct(b.get(), "value", 16);
       b.field("packets", b.u64_, 0);
       b.field("packets_total", b.u64_, 8);
       return std::pair{b.ipv4_key, value};
     },
     "map some_map: value packets_total: gives nfbpf_value_packets_total, as member packets does; "
     "rename one of them"},
    {"two labels of one name",
     [](AbiBtf& b) {
       const int inner = btf__add_struct(b.get(), "inner", 4);
       b.field("b", b.u32_, 0);
       const int key = btf__add_struct(b.get(), "key", 8);
       b.field("a", inner, 0);
       b.field("a_b", b.u32_, 4);
       return std::pair{key, b.source_destination};
     },
     "map some_map: key a_b: is the second member of that name"},
    {"a value of 3 bytes",
     [](AbiBtf& b) {
       return std::pair{b.ipv4_key, b.array(b.u8_, 3)};
     },
     "map some_map: value: is an array of something else than __u64; the slots of a histogram are "
     "__u64"},
    {"a key of 500 bytes",
     [](AbiBtf& b) {
       return std::pair{b.array(b.char_, 500), b.source_destination};
     },
     "map some_map: key: has 500 bytes, at most 256 are shown; make it smaller"},
    {"a struct that holds itself",
     [](AbiBtf& b) {
       const int key = btf__add_struct(b.get(), "knot", 4);
       b.field("a", key, 0);
       b.field("b", key, 0);
       return std::pair{key, b.source_destination};
     },
     "map some_map: key a: is a struct that holds itself; the BTF is malformed"},
    {"a list",
     [](AbiBtf& b) {
       const auto ids = static_cast<int>(btf__type_cnt(b.get()));
       const int next = btf__add_ptr(b.get(), ids + 1);
       const int node = btf__add_struct(b.get(), "node", 8);
       b.field("next", next, 0);
       return std::pair{b.ipv4_key, node};
     },
     "map some_map: value next: is no counter; counters are __u64 or __u32"},
    {"members without names",
     [](AbiBtf& b) {
       const int inner = btf__add_struct(b.get(), nullptr, 4);
       btf__add_field(b.get(), nullptr, b.u32_, 0, 0);
       const int key = btf__add_struct(b.get(), nullptr, 8);
       b.field("first", b.u32_, 0);
       btf__add_field(b.get(), nullptr, inner, 32, 0);
       return std::pair{key, b.source_destination};
     },
     "map some_map: key at byte 4: is not a name that a Prometheus label may have"},
    {"a union of other things",
     [](AbiBtf& b) {
       const int either = btf__add_union(b.get(), "either", 4);
       b.field("a", b.u32_, 0);
       b.field("b", b.ipv4, 0);
       const int key = btf__add_struct(b.get(), "key", 4);
       b.field("x", either, 0);
       return std::pair{key, b.source_destination};
     },
     "map some_map: key x: is a union of other members than one nfbpf_ipv4_t and one nfbpf_ipv6_t, "
     "which alone can be shown; use a struct"},
    {"a union without a family",
     [](AbiBtf& b) {
       return std::pair{union_key(b, b.u32_, 4, "kind"), b.source_destination};
     },
     "map some_map: key source: is a union and nothing says which of its members is in use; give "
     "the key one member of enum nfbpf_family, or one integer named family with AF_INET or "
     "AF_INET6"},
    {"flags of no enum",
     [](AbiBtf& b) {
       const int flags = b.add_typedef("nfbpf_flags_t", b.u32_);
       const int key = btf__add_struct(b.get(), "key", 4);
       b.field("bits", flags, 0);
       return std::pair{key, b.source_destination};
     },
     "map some_map: key bits: is a nfbpf_flags typedef of no enum, so its bits have no names"},
    {"a histogram without a sum",
     [](AbiBtf& b) {
       const int array = b.array(b.log2_slot, 4);
       const int value = btf__add_struct(b.get(), "value", 32);
       b.field("size", array, 0);
       return std::pair{b.ipv4_key, value};
     },
     "map some_map: value size: is a histogram without its sum; add __u64 size_sum"},
    {"a histogram without bounds",
     [](AbiBtf& b) {
       return std::pair{b.ipv4_key, slots_and_sum(b, b.u64_, "size")};
     },
     "map some_map: value size: has 4 slots and 0 bounds, where 3 are wanted; use "
     "nfbpf_log2_slot_t, a member enum size_bounds[0] or bounds in the configuration"},
    {"bounds that do not ascend",
     [](AbiBtf& b) {
       return std::pair{b.ipv4_key, value_with_listed_bounds(b, {64, 576, 100})};
     },
     "map some_map: value size: has bound 100 after 576; bounds ascend"},
    {"more powers of two than bits",
     [](AbiBtf& b) {
       return std::pair{b.ipv4_key, slots_and_sum(b, b.log2_slot, "size", 65)};
     },
     "map some_map: value size: has 65 slots, 1 to 64 are shown; change the array"},
    {"a histogram and a label le",
     [](AbiBtf& b) {
       const int key = btf__add_struct(b.get(), "key", 4);
       b.field("le", b.u32_, 0);
       return std::pair{key, slots_and_sum(b, b.log2_slot, "size")};
     },
     "map some_map: value size: is a histogram and the key has a label le; rename that one"},
    {"a counter of a histogram's name",
     [](AbiBtf& b) {
       const int array = b.array(b.log2_slot, 1);
       const int value = btf__add_struct(b.get(), "value", 24);
       b.field("size", array, 0);
       b.field("size_sum", b.u64_, 8);
       b.field("size_count", b.gauge, 16);
       return std::pair{b.ipv4_key, value};
     },
     "map some_map: value size_count: gives nfbpf_value_size_count, as member size does; rename "
     "one of them"},
    {"33 labels",
     [](AbiBtf& b) {
       const int key = btf__add_struct(b.get(), "key", 33);
       for (std::uint32_t i = 0; i < 33; ++i) b.field(("l" + std::to_string(i)).c_str(), b.u8_, i);
       return std::pair{key, b.source_destination};
     },
     "map some_map: key l32: is label 33, at most 32 are shown; drop some in the configuration"},
    {"a reserved label name",
     [](AbiBtf& b) {
       const int key = btf__add_struct(b.get(), "key", 4);
       b.field("__name", b.u32_, 0);
       return std::pair{key, b.source_destination};
     },
     "map some_map: key __name: is not a name that a Prometheus label may have"},
};

TEST(DecodeLayout, RefusesWhatCannotBeShownByNameOfMapAndMember) {
  for (const RefusedCase& c : kRefused) {
    SCOPED_TRACE(c.description);
    AbiBtf abi;
    const auto [key, value] = c.key_and_value(abi);
    const auto layout = decode(abi, key, value);
    ASSERT_FALSE(layout);
    EXPECT_EQ(layout.error().what, c.error);
  }
}

TEST(DecodeLayout, ComparesSizesWithTheMap) {
  AbiBtf abi;
  const auto key = static_cast<std::uint32_t>(abi.ipv4_key);
  const auto value = static_cast<std::uint32_t>(abi.source_destination);
  const reader::Btf types(abi.release());
  auto layout = reader::decode_layout(types, {"m", key, value, 16, 16});
  ASSERT_FALSE(layout);
  EXPECT_EQ(layout.error().what, "map m: key: the BTF says 12 bytes, the map has 16");
  layout = reader::decode_layout(types, {"m", 4000, value, 12, 16});
  ASSERT_FALSE(layout);
  EXPECT_EQ(layout.error().what, "map m: key: type id 4000 has no size in the BTF");
}

TEST(IsState, TellsByTheNameOfTheValuesStruct) {
  AbiBtf abi;
  const auto state = static_cast<std::uint32_t>(abi.counted("handshake_state"));
  const auto stated = static_cast<std::uint32_t>(abi.counted("handshake_stated"));
  const auto renamed =
      static_cast<std::uint32_t>(abi.add_typedef("hidden", static_cast<int>(state)));
  const auto number = static_cast<std::uint32_t>(abi.add_typedef("number_state", abi.u64_));
  const reader::Btf types(abi.release());
  EXPECT_TRUE(reader::is_state(types, state));
  EXPECT_TRUE(reader::is_state(types, renamed)) << "a typedef of it is the same struct";
  EXPECT_FALSE(reader::is_state(types, stated));
  EXPECT_FALSE(reader::is_state(types, number)) << "no struct";
  EXPECT_FALSE(reader::is_state(types, 4000));
}

TEST(Btf, RefusesWhatIsNotBtf) {
  const std::byte junk[8] = {};
  const auto parsed = reader::Btf::parse(junk, "junk.btf");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().what, "junk.btf: is not BTF: Invalid argument");
}

}  // namespace
}  // namespace nfbpf
