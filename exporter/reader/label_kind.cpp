// SPDX-License-Identifier: Apache-2.0
#include "reader/label_kind.h"

#include <bpf/btf.h>

#include <algorithm>
#include <array>
#include <optional>

#include "reader/btf_enum.h"

namespace nfbpf::reader {
namespace {

using traffic::FieldKind;

constexpr std::size_t kIpv6Bytes = 16;
constexpr std::size_t kMacBytes = 6;
constexpr std::size_t kPortBytes = 2;

bool is_int_size(std::uint32_t size) {
  return size == 1 || size == 2 || size == 4 || size == 8;
}

// A kind that its typedef names, whatever the bottom type is.
struct NamedKind {
  std::string_view name;
  FieldKind kind;
  std::size_t size;  // bytes it has to have; 0: any integer
};
constexpr NamedKind kNamedKinds[] = {
    {"nfbpf_ipv4_t", FieldKind::kIpv4, traffic::kIpv4Bytes},
    {"nfbpf_ipv6_t", FieldKind::kIpv6, kIpv6Bytes},
    {"nfbpf_mac_t", FieldKind::kMac, kMacBytes},
    {"nfbpf_port_t", FieldKind::kPort, kPortBytes},
    {"nfbpf_protocol_t", FieldKind::kProtocol, 0},
    {"nfbpf_ifindex_t", FieldKind::kIfindex, 0},
    {"nfbpf_ifname_t", FieldKind::kIfname, 0},
    {"__be16", FieldKind::kUintNetwork, 0},
    {"__be32", FieldKind::kUintNetwork, 0},
    {"__be64", FieldKind::kUintNetwork, 0},
};

// Words of tags, and the typedefs that they stand for.
constexpr std::pair<std::string_view, std::string_view> kTags[] = {
    {"ipv4", "nfbpf_ipv4_t"},
    {"ipv6", "nfbpf_ipv6_t"},
    {"mac", "nfbpf_mac_t"},
    {"port", "nfbpf_port_t"},
    {"protocol", "nfbpf_protocol_t"},
    {"ifindex", "nfbpf_ifindex_t"},
    {"ifname", "nfbpf_ifname_t"},
    {"flags", "nfbpf_flags_t"},
    {"string", "nfbpf_string_t"},
    {"reserved", "nfbpf_reserved_t"},
    {"gauge", "nfbpf_gauge_t"},
    {"ns", "nfbpf_ns_t"},
    {"log2_slot", "nfbpf_log2_slot_t"},
};

// Structs that the kernel keeps in a value for itself.
constexpr std::string_view kKernelStructs[] = {"bpf_spin_lock", "bpf_timer",     "bpf_list_head",
                                               "bpf_list_node", "bpf_rb_root",   "bpf_rb_node",
                                               "bpf_refcount",  "bpf_workqueue", "bpf_wq"};

bool is_in6_addr(const btf* b, const btf_type* t) {
  return btf_is_composite(t) && type_name(b, t) == "in6_addr";
}

// char[N], or bytes that a tag calls a string.
bool is_string(const btf* b, const Member& member) {
  if (!btf_is_array(member.type.type)) return false;
  const auto element = resolve(b, btf_array(member.type.type)->type);
  if (!element || !btf_is_int(element->type) || element->type->size != 1) return false;
  return member.type.is("nfbpf_string_t") || type_name(b, element->type) == "char";
}

// The kernel refuses such BTF; a file may have it.
std::string odd_enum(const Member& member) {
  return "is an enum of " + std::to_string(member.size) + " bytes";
}

Result<std::optional<LabelKind>> kind_of_typedef(const btf* b, const Member& member) {
  const Resolved& r = member.type;
  if (r.is_any("nfbpf_flags_")) {
    if (!btf_is_any_enum(r.type))
      return fail("is a nfbpf_flags typedef of no enum, so its bits have no names");
    if (!is_int_size(member.size)) return fail(odd_enum(member));
    return LabelKind{.kind = FieldKind::kFlags, .names = enum_names(b, r.type)};
  }
  for (const NamedKind& named : kNamedKinds) {
    if (!r.is(named.name)) continue;
    const bool fits = named.size == 0 ? is_int_size(member.size) : member.size == named.size;
    if (!fits)
      return fail("is a " + std::string(named.name) + " of " + std::to_string(member.size) +
                  " bytes");
    if (named.name == "__be32" && member.name.find("addr") != std::string::npos)
      return LabelKind{.kind = FieldKind::kIpv4};
    return LabelKind{.kind = named.kind};
  }
  return std::optional<LabelKind>{};
}

}  // namespace

bool is_hidden(const btf* b, const Resolved& r) {
  const bool reserved = std::ranges::any_of(r.typedefs, [](std::string_view name) {
    return name.starts_with("nfbpf_reserved") && name.ends_with("_t");
  });
  return reserved ||
         (btf_is_struct(r.type) &&
          std::ranges::find(kKernelStructs, type_name(b, r.type)) != std::end(kKernelStructs));
}

bool is_shown_whole(const btf* b, const Resolved& r) {
  return is_hidden(b, r) || is_in6_addr(b, r.type) ||
         std::ranges::any_of(kNamedKinds, [&](const NamedKind& k) { return r.is(k.name); });
}

std::string_view typedef_of_tag(std::string_view word) {
  const auto* tag = std::ranges::find(kTags, word, [](const auto& pair) { return pair.first; });
  return tag == std::end(kTags) ? std::string_view{} : tag->second;
}

Result<LabelKind> label_kind(const btf* b, const Member& member) {
  const Resolved& r = member.type;
  if (is_hidden(b, r)) return LabelKind{.hidden = true};
  if (is_in6_addr(b, r.type) && member.size == kIpv6Bytes)
    return LabelKind{.kind = FieldKind::kIpv6};
  auto named = kind_of_typedef(b, member);
  if (!named) return tl::unexpected(named.error());
  if (*named) return std::move(**named);
  if (btf_is_any_enum(r.type)) {
    if (!is_int_size(member.size)) return fail(odd_enum(member));
    return LabelKind{.kind = FieldKind::kEnum, .names = enum_names(b, r.type)};
  }
  if (btf_is_int(r.type) && is_int_size(member.size)) {
    const bool is_signed = (btf_int_encoding(r.type) & BTF_INT_SIGNED) != 0;
    return LabelKind{.kind = is_signed ? FieldKind::kInt : FieldKind::kUint};
  }
  if (is_string(b, member)) return LabelKind{.kind = FieldKind::kString};
  return fail(
      "is of a type that no label can show; use an integer, an enum, char[N] or a typedef of "
      "nfbpf.h");
}

}  // namespace nfbpf::reader
