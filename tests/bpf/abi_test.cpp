// SPDX-License-Identifier: Apache-2.0
// bpf/abi/nfbpf.h as the C++ compiler lays it out, against the BTF that clang put into the objects:
// each struct that an object carries has the same size, and each member the same offset and size.
#include <abi/nfbpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace nfbpf {
namespace {

struct Member {
  const char* name;
  std::size_t offset, size;
};
struct Struct {
  const char* name;
  std::size_t size;
  std::vector<Member> members;
};

#define MEMBER(type, member)                              \
  Member {                                                \
#member, offsetof(type, member), sizeof(type::member) \
  }

const std::vector<Struct>& structs() {
  static const std::vector<Struct> all = {
      {"nfbpf_ipv4_key",
       sizeof(nfbpf_ipv4_key),
       {MEMBER(nfbpf_ipv4_key, direction), MEMBER(nfbpf_ipv4_key, protocol),
        MEMBER(nfbpf_ipv4_key, reserved), MEMBER(nfbpf_ipv4_key, source),
        MEMBER(nfbpf_ipv4_key, destination)}},
      {"nfbpf_ipv6_key",
       sizeof(nfbpf_ipv6_key),
       {MEMBER(nfbpf_ipv6_key, reserved), MEMBER(nfbpf_ipv6_key, protocol),
        MEMBER(nfbpf_ipv6_key, direction), MEMBER(nfbpf_ipv6_key, source),
        MEMBER(nfbpf_ipv6_key, destination)}},
      {"nfbpf_ipv4_flow_key",
       sizeof(nfbpf_ipv4_flow_key),
       {MEMBER(nfbpf_ipv4_flow_key, direction), MEMBER(nfbpf_ipv4_flow_key, protocol),
        MEMBER(nfbpf_ipv4_flow_key, tcp_class), MEMBER(nfbpf_ipv4_flow_key, reserved),
        MEMBER(nfbpf_ipv4_flow_key, source), MEMBER(nfbpf_ipv4_flow_key, destination),
        MEMBER(nfbpf_ipv4_flow_key, source_port), MEMBER(nfbpf_ipv4_flow_key, destination_port),
        MEMBER(nfbpf_ipv4_flow_key, service_port), MEMBER(nfbpf_ipv4_flow_key, icmp_type),
        MEMBER(nfbpf_ipv4_flow_key, icmp_code), MEMBER(nfbpf_ipv4_flow_key, in_interface),
        MEMBER(nfbpf_ipv4_flow_key, out_interface), MEMBER(nfbpf_ipv4_flow_key, netns)}},
      {"nfbpf_ipv6_flow_key",
       sizeof(nfbpf_ipv6_flow_key),
       {MEMBER(nfbpf_ipv6_flow_key, direction), MEMBER(nfbpf_ipv6_flow_key, protocol),
        MEMBER(nfbpf_ipv6_flow_key, tcp_class), MEMBER(nfbpf_ipv6_flow_key, reserved),
        MEMBER(nfbpf_ipv6_flow_key, source), MEMBER(nfbpf_ipv6_flow_key, destination),
        MEMBER(nfbpf_ipv6_flow_key, source_port), MEMBER(nfbpf_ipv6_flow_key, destination_port),
        MEMBER(nfbpf_ipv6_flow_key, service_port), MEMBER(nfbpf_ipv6_flow_key, icmp_type),
        MEMBER(nfbpf_ipv6_flow_key, icmp_code), MEMBER(nfbpf_ipv6_flow_key, in_interface),
        MEMBER(nfbpf_ipv6_flow_key, out_interface), MEMBER(nfbpf_ipv6_flow_key, netns)}},
      {"nfbpf_filter_ipv4_key",
       sizeof(nfbpf_filter_ipv4_key),
       {MEMBER(nfbpf_filter_ipv4_key, prefix_length), MEMBER(nfbpf_filter_ipv4_key, address)}},
      {"nfbpf_filter_ipv6_key",
       sizeof(nfbpf_filter_ipv6_key),
       {MEMBER(nfbpf_filter_ipv6_key, prefix_length), MEMBER(nfbpf_filter_ipv6_key, address)}},
      {"nfbpf_filter_policy",
       sizeof(nfbpf_filter_policy),
       {MEMBER(nfbpf_filter_policy, ipv4), MEMBER(nfbpf_filter_policy, ipv6),
        MEMBER(nfbpf_filter_policy, protocol), MEMBER(nfbpf_filter_policy, port)}},
      {"nfbpf_epoch_state",
       sizeof(nfbpf_epoch_state),
       {MEMBER(nfbpf_epoch_state, active), MEMBER(nfbpf_epoch_state, reserved),
        MEMBER(nfbpf_epoch_state, made)}},
      {"nfbpf_source_destination",
       sizeof(nfbpf_source_destination),
       {MEMBER(nfbpf_source_destination, packets), MEMBER(nfbpf_source_destination, bytes)}},
      {"nfbpf_overflow_key",
       sizeof(nfbpf_overflow_key),
       {MEMBER(nfbpf_overflow_key, direction), MEMBER(nfbpf_overflow_key, family),
        MEMBER(nfbpf_overflow_key, reason), MEMBER(nfbpf_overflow_key, reserved)}},
      {"nfbpf_overflow",
       sizeof(nfbpf_overflow),
       {MEMBER(nfbpf_overflow, packets), MEMBER(nfbpf_overflow, bytes)}},
      {"nfbpf_filtered_key",
       sizeof(nfbpf_filtered_key),
       {MEMBER(nfbpf_filtered_key, direction), MEMBER(nfbpf_filtered_key, family),
        MEMBER(nfbpf_filtered_key, reason), MEMBER(nfbpf_filtered_key, reserved)}},
      {"nfbpf_filtered",
       sizeof(nfbpf_filtered),
       {MEMBER(nfbpf_filtered, packets), MEMBER(nfbpf_filtered, bytes)}},
  };
  return all;
}
#undef MEMBER

struct Close {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};

void compare(const btf* types, const btf_type* in_object, const Struct& in_header) {
  EXPECT_EQ(in_object->size, in_header.size);
  ASSERT_EQ(btf_vlen(in_object), in_header.members.size());
  for (std::uint32_t i = 0; i < btf_vlen(in_object); ++i) {
    const btf_member& member = btf_members(in_object)[i];
    const Member& wanted = in_header.members[i];
    SCOPED_TRACE(wanted.name);
    EXPECT_STREQ(btf__name_by_offset(types, member.name_off), wanted.name);
    EXPECT_EQ(btf_member_bit_offset(in_object, i), wanted.offset * 8);
    EXPECT_EQ(btf__resolve_size(types, member.type), static_cast<std::int64_t>(wanted.size));
  }
}

// Every struct of the header that the object knows; returns their names.
std::set<std::string> compare_object(const std::filesystem::path& file) {
  SCOPED_TRACE(file.filename().string());
  const std::unique_ptr<bpf_object, Close> object(bpf_object__open_file(file.c_str(), nullptr));
  if (!object) {
    ADD_FAILURE() << "cannot open";
    return {};
  }
  std::set<std::string> met;
  const btf* types = bpf_object__btf(object.get());
  for (const Struct& in_header : structs()) {
    const int id = btf__find_by_name_kind(types, in_header.name, BTF_KIND_STRUCT);
    if (id < 0) continue;
    SCOPED_TRACE(in_header.name);
    compare(types, btf__type_by_id(types, static_cast<std::uint32_t>(id)), in_header);
    met.insert(in_header.name);
  }
  return met;
}

TEST(Abi, HeaderAndObjectsLayThingsOutAlike) {
  std::set<std::string> met;
  int objects = 0;
  for (const auto& file : std::filesystem::directory_iterator(NFBPF_OBJECT_DIR)) {
    if (!file.path().string().ends_with(".bpf.o")) continue;
    met.merge(compare_object(file.path()));
    ++objects;
  }
  EXPECT_GE(objects, 9);
  // A struct that no object has is one that nothing was compared with.
  for (const Struct& in_header : structs())
    EXPECT_TRUE(met.contains(in_header.name)) << in_header.name;
}

// The program fills a key's tail as if it were this struct, which no object has by itself.
TEST(Abi, FlowMembersEndBothKeys) {
  constexpr std::size_t kSize = sizeof(nfbpf_flow_members);
  static_assert(offsetof(nfbpf_ipv4_flow_key, source_port) + kSize == sizeof(nfbpf_ipv4_flow_key));
  static_assert(offsetof(nfbpf_ipv6_flow_key, source_port) + kSize == sizeof(nfbpf_ipv6_flow_key));
  static_assert(offsetof(nfbpf_ipv4_flow_key, netns) + sizeof(nfbpf_netns_t) ==
                sizeof(nfbpf_ipv4_flow_key));
}

// The hash of a key covers each byte of it.
TEST(Abi, KeysHaveNoPadding) {
  static_assert(std::has_unique_object_representations_v<nfbpf_ipv4_key>);
  static_assert(std::has_unique_object_representations_v<nfbpf_ipv6_key>);
  static_assert(std::has_unique_object_representations_v<nfbpf_ipv4_flow_key>);
  static_assert(std::has_unique_object_representations_v<nfbpf_ipv6_flow_key>);
  static_assert(std::has_unique_object_representations_v<nfbpf_overflow_key>);
  static_assert(std::has_unique_object_representations_v<nfbpf_filtered_key>);
}

}  // namespace
}  // namespace nfbpf
