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
  return reader::decode_layout(reader::Btf(abi.release()), types);
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
      decode(abi, abi.ipv4_key, abi.source_destination, "some_map", {"source", "direction"});
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

struct RefusedCase {
  const char* description;
  std::function<std::pair<int, int>(AbiBtf&)> key_and_value;
  const char* error;
};

const RefusedCase kRefused[] = {
    {"an array in the key",
     [](AbiBtf& b) {
       const int array = btf__add_array(b.get(), b.u32_, b.u8_, 16);
       const int key = btf__add_struct(b.get(), "key", 16);
       b.field("name", array, 0);
       return std::pair{key, b.source_destination};
     },
     "map some_map: key name: is of a type that no label can show; use an integer, an enum or a "
     "typedef "
     "of nfbpf.h"},
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
    {"a signed counter",
     [](AbiBtf& b) {
       return std::pair{b.ipv4_key, b.s32_};
     },
     "map some_map: value: is no counter; counters are __u64 or __u32"},
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

TEST(Btf, RefusesWhatIsNotBtf) {
  const std::byte junk[8] = {};
  const auto parsed = reader::Btf::parse(junk, "junk.btf");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().what, "junk.btf: is not BTF: Invalid argument");
}

}  // namespace
}  // namespace nfbpf
