// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <abi/nfbpf.h>
#include <bpf/btf.h>

#include <cstdint>
#include <string>

namespace nfbpf::test {

// The types of bpf/abi/nfbpf.h as BTF, made with libbpf so that no clang is needed.
class AbiBtf {
 public:
  AbiBtf() : btf_(btf__new_empty()) {
    u8_ = btf__add_int(btf_, "unsigned char", 1, 0);
    u16_ = btf__add_int(btf_, "unsigned short", 2, 0);
    u32_ = btf__add_int(btf_, "unsigned int", 4, 0);
    u64_ = btf__add_int(btf_, "unsigned long long", 8, 0);
    s32_ = btf__add_int(btf_, "int", 4, BTF_INT_SIGNED);
    s64_ = btf__add_int(btf_, "long long", 8, BTF_INT_SIGNED);
    char_ = btf__add_int(btf_, "char", 1, BTF_INT_SIGNED);
    add_typedefs();
    add_enums();
    add_keys();
    source_destination = counted("nfbpf_source_destination");
    overflow = counted("nfbpf_overflow");
  }
  AbiBtf(const AbiBtf&) = delete;
  AbiBtf& operator=(const AbiBtf&) = delete;
  ~AbiBtf() { btf__free(btf_); }

  [[nodiscard]] btf* get() const { return btf_; }
  [[nodiscard]] btf* release() {
    btf* released = btf_;
    btf_ = nullptr;
    return released;
  }

  // Adds a struct of packets and bytes, both u64.
  int counted(const char* name) {
    const int id = btf__add_struct(btf_, name, 16);
    field("packets", u64_, 0);
    field("bytes", u64_, 8);
    return id;
  }
  // Adds a member, `offset` in bytes, to the struct that was begun last.
  void field(const char* name, int type, std::uint32_t offset) {
    btf__add_field(btf_, name, type, offset * 8, 0);
  }
  int add_typedef(const char* name, int type) { return btf__add_typedef(btf_, name, type); }

  int array(int type, std::uint32_t count) { return btf__add_array(btf_, u32_, type, count); }

  int u8_, u16_, u32_, u64_, s32_, s64_, char_;
  int ipv4, ipv6, protocol, port, ifindex, ifname, mac, reserved16, reserved8;
  int gauge, ns, log2_slot;
  int direction, family, overflow_reason;
  int ipv4_key, ipv6_key, overflow_key;
  int source_destination, overflow;

 private:
  void add_typedefs() {
    ipv4 = add_typedef("nfbpf_ipv4_t", u32_);
    const int bytes16 = btf__add_array(btf_, u32_, u8_, 16);
    const int anonymous = btf__add_struct(btf_, nullptr, 16);
    field("byte", bytes16, 0);
    ipv6 = add_typedef("nfbpf_ipv6_t", anonymous);
    protocol = add_typedef("nfbpf_protocol_t", u8_);
    port = add_typedef("nfbpf_port_t", u16_);
    ifindex = add_typedef("nfbpf_ifindex_t", u32_);
    ifname = add_typedef("nfbpf_ifname_t", u32_);
    const int bytes6 = array(u8_, 6);
    const int six = btf__add_struct(btf_, nullptr, 6);
    field("byte", bytes6, 0);
    mac = add_typedef("nfbpf_mac_t", six);
    gauge = add_typedef("nfbpf_gauge_t", u64_);
    ns = add_typedef("nfbpf_ns_t", u64_);
    log2_slot = add_typedef("nfbpf_log2_slot_t", u64_);
    reserved16 = add_typedef("nfbpf_reserved16_t", u16_);
    reserved8 = add_typedef("nfbpf_reserved8_t", u8_);
  }
  void add_enums() {
    direction = btf__add_enum(btf_, "nfbpf_direction", 1);
    const char* directions[] = {"UNKNOWN", "PREROUTING", "IN", "FORWARD", "OUT", "POSTROUTING"};
    add_values("NFBPF_DIRECTION_", directions);
    family = btf__add_enum(btf_, "nfbpf_family", 1);
    const char* families[] = {"UNKNOWN", "IPV4", "IPV6"};
    add_values("NFBPF_FAMILY_", families);
    overflow_reason = btf__add_enum(btf_, "nfbpf_overflow_reason", 1);
    const char* reasons[] = {"FULL", "BUSY", "MEMORY", "OTHER"};
    add_values("NFBPF_OVERFLOW_REASON_", reasons);
  }
  template <std::size_t N>
  void add_values(const std::string& prefix, const char* (&names)[N]) {
    for (std::size_t i = 0; i < N; ++i)
      btf__add_enum_value(btf_, (prefix + names[i]).c_str(), static_cast<std::int64_t>(i));
  }
  void add_keys() {
    ipv4_key = btf__add_struct(btf_, "nfbpf_ipv4_key", sizeof(nfbpf_ipv4_key));
    field("direction", direction, 0);
    field("protocol", protocol, 1);
    field("reserved", reserved16, 2);
    field("source", ipv4, 4);
    field("destination", ipv4, 8);
    ipv6_key = btf__add_struct(btf_, "nfbpf_ipv6_key", sizeof(nfbpf_ipv6_key));
    field("reserved", reserved16, 0);
    field("protocol", protocol, 2);
    field("direction", direction, 3);
    field("source", ipv6, 4);
    field("destination", ipv6, 20);
    overflow_key = btf__add_struct(btf_, "nfbpf_overflow_key", sizeof(nfbpf_overflow_key));
    field("direction", direction, 0);
    field("family", family, 1);
    field("reason", overflow_reason, 2);
    field("reserved", reserved8, 3);
  }

  btf* btf_;
};

}  // namespace nfbpf::test
