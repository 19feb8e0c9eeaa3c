// SPDX-License-Identifier: Apache-2.0
#include "reader/layout.h"

#include <bpf/btf.h>

#include <algorithm>
#include <cctype>
#include <limits>
#include <string_view>

#include "reader/btf_enum.h"
#include "traffic/families.h"

namespace nfbpf::reader {
namespace {

using traffic::FieldKind;

constexpr std::size_t kIpv4Bytes = 4;
constexpr std::size_t kIpv6Bytes = 16;
constexpr std::size_t kPortBytes = 2;
// Nested deeper than this is a loop in a malformed BTF.
constexpr int kMaxDepth = 16;

std::string_view type_name(const btf* b, const btf_type* t) {
  const char* name = btf__name_by_offset(b, t->name_off);
  return name == nullptr ? std::string_view{} : std::string_view{name};
}

// A member's type: the names met on the way down and what is at the bottom.
struct Resolved {
  std::vector<std::string_view> typedefs;  // outermost first
  const btf_type* type = nullptr;          // no typedef, const or volatile
  std::uint32_t id = 0;

  [[nodiscard]] bool is(std::string_view name) const {
    return std::ranges::find(typedefs, name) != typedefs.end();
  }
  [[nodiscard]] bool is_reserved() const {
    return std::ranges::any_of(typedefs, [](std::string_view name) {
      return name.starts_with("nfbpf_reserved") && name.ends_with("_t");
    });
  }
};

Result<Resolved> resolve(const btf* b, std::uint32_t id) {
  Resolved r;
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    const btf_type* t = btf__type_by_id(b, id);
    if (t == nullptr) return fail("type id " + std::to_string(id) + " is not in the BTF");
    if (!btf_is_typedef(t) && !btf_is_mod(t) && !btf_is_type_tag(t)) {
      r.type = t;
      r.id = id;
      return r;
    }
    if (btf_is_typedef(t)) r.typedefs.push_back(type_name(b, t));
    id = t->type;
  }
  return fail("type id " + std::to_string(id) + " refers to itself");
}

// What one scalar member is shown as; no kind: hidden.
struct Shown {
  bool hidden = false;
  FieldKind kind = FieldKind::kUint;
  std::vector<traffic::EnumName> names;
};

bool is_counter_size(std::uint32_t size) {
  return size == 4 || size == 8;
}

bool is_int_size(std::uint32_t size) {
  return size == 1 || size == 2 || is_counter_size(size);
}

// A kind that its typedef names, whatever the bottom type is.
struct NamedKind {
  std::string_view name;
  FieldKind kind;
  std::size_t size;  // bytes it has to have; 0: any integer
};
constexpr NamedKind kNamedKinds[] = {
    {"nfbpf_ipv4_t", FieldKind::kIpv4, kIpv4Bytes}, {"nfbpf_ipv6_t", FieldKind::kIpv6, kIpv6Bytes},
    {"nfbpf_port_t", FieldKind::kPort, kPortBytes}, {"nfbpf_protocol_t", FieldKind::kProtocol, 0},
    {"nfbpf_ifindex_t", FieldKind::kIfindex, 0},    {"__be16", FieldKind::kUintNetwork, 0},
    {"__be32", FieldKind::kUintNetwork, 0},         {"__be64", FieldKind::kUintNetwork, 0},
};

// `member` is its own name, for "__be32 *addr*", which is an address.
Result<Shown> shown_as(const btf* b, const Resolved& r, std::string_view member,
                       std::uint32_t size) {
  if (r.is_reserved()) return Shown{.hidden = true, .names = {}};
  if (btf_is_composite(r.type) && type_name(b, r.type) == "in6_addr" && size == kIpv6Bytes)
    return Shown{.kind = FieldKind::kIpv6, .names = {}};
  for (const NamedKind& named : kNamedKinds) {
    if (!r.is(named.name)) continue;
    const bool fits = named.size == 0 ? is_int_size(size) : size == named.size;
    if (!fits)
      return fail("is a " + std::string(named.name) + " of " + std::to_string(size) + " bytes");
    if (named.name == "__be32" && member.find("addr") != std::string_view::npos)
      return Shown{.kind = FieldKind::kIpv4, .names = {}};
    return Shown{.kind = named.kind, .names = {}};
  }
  if (btf_is_any_enum(r.type))
    return Shown{.kind = FieldKind::kEnum, .names = enum_names(b, r.type)};
  if (btf_is_int(r.type) && is_int_size(size)) {
    const bool is_signed = (btf_int_encoding(r.type) & BTF_INT_SIGNED) != 0;
    return Shown{.kind = is_signed ? FieldKind::kInt : FieldKind::kUint, .names = {}};
  }
  return fail(
      "is of a type that no label can show; use an integer, an enum or a typedef of nfbpf.h");
}

std::string joined(const std::string& prefix, std::string_view name) {
  if (prefix.empty() || name.empty()) return prefix + std::string(name);
  return prefix + "_" + std::string(name);
}

// Walks a struct's members, nested structs flattened; calls `leaf` with name, type, offset and size
// in bytes.
template <typename Leaf>
class MemberWalk {
 public:
  MemberWalk(const btf* b, std::string where, Leaf leaf)
      : btf_(b), where_(std::move(where)), leaf_(std::move(leaf)) {}

  Result<void> walk(const btf_type* t, const std::string& prefix, std::uint32_t base, int depth) {
    if (depth > kMaxDepth) return fail(where_ + ": structs nest deeper than can be");
    const btf_member* members = btf_members(t);
    for (std::uint32_t i = 0; i < btf_vlen(t); ++i) {
      const char* own = btf__name_by_offset(btf_, members[i].name_off);
      const std::string name = joined(prefix, own == nullptr ? "" : own);
      const std::uint32_t bits = btf_member_bit_offset(t, i);
      if (btf_member_bitfield_size(t, i) != 0 || bits % 8 != 0)
        return fail(where_ + " " + name + ": is a bit field; give it whole bytes");
      if (auto ok = member(members[i].type, name, base + bits / 8, depth); !ok) return ok;
    }
    return {};
  }

 private:
  Result<void> member(std::uint32_t type_id, const std::string& name, std::uint32_t offset,
                      int depth) {
    const auto resolved = resolve(btf_, type_id);
    if (!resolved) return fail(where_ + " " + name + ": " + resolved.error().what);
    const auto size = btf__resolve_size(btf_, type_id);
    if (size < 0) return fail(where_ + " " + name + ": has no size");
    if (btf_is_struct(resolved->type) && !names_a_kind(*resolved))
      return walk(resolved->type, name, offset, depth + 1);
    auto ok = leaf_(name, *resolved, offset, static_cast<std::uint32_t>(size));
    if (!ok) return fail(where_ + " " + name + ": " + ok.error().what);
    return {};
  }

  // A struct that is shown as one label, such as an IPv6 address.
  [[nodiscard]] bool names_a_kind(const Resolved& r) const {
    return r.is_reserved() || type_name(btf_, r.type) == "in6_addr" ||
           std::ranges::any_of(kNamedKinds, [&](const NamedKind& k) { return r.is(k.name); });
  }

  const btf* btf_;
  std::string where_;
  Leaf leaf_;
};

// "nfbpf_ifindex_t" -> "ifindex", for a key that is one scalar.
std::string scalar_label(const btf* b, const Resolved& r) {
  std::string_view name = r.typedefs.empty() ? std::string_view{} : r.typedefs.front();
  if (btf_is_any_enum(r.type) && name.empty()) name = type_name(b, r.type);
  if (!name.starts_with("nfbpf_")) return "key";
  name.remove_prefix(6);
  if (name.ends_with("_t")) name.remove_suffix(2);
  return std::string(name);
}

bool is_label_name(const std::string& name) {
  const auto word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  return !name.empty() && !std::isdigit(static_cast<unsigned char>(name[0])) &&
         !name.starts_with("__") && std::ranges::all_of(name, word);
}

Result<void> add_label(traffic::Layout& layout, const btf* b, const std::string& name,
                       const Resolved& r, std::uint32_t offset, std::uint32_t size) {
  auto shown = shown_as(b, r, name, size);
  if (!shown) return tl::unexpected(shown.error());
  if (shown->hidden) return {};
  if (!is_label_name(name)) return fail("is not a name that a Prometheus label may have");
  if (std::ranges::find(layout.labels, name, &traffic::Field::name) != layout.labels.end())
    return fail("is the second member of that name");
  if (offset + size > layout.key_size) return fail("reaches past the end of the key");
  layout.labels.push_back({name, shown->kind, offset, size, std::move(shown->names)});
  return {};
}

// The layout's family is known already: two names may differ and give one metric.
Result<void> add_counter(traffic::Layout& layout, const std::string& name, const Resolved& r,
                         std::uint32_t offset, std::uint32_t size) {
  if (r.is_reserved()) return {};
  const bool is_signed = btf_is_int(r.type) && (btf_int_encoding(r.type) & BTF_INT_SIGNED) != 0;
  if (!btf_is_int(r.type) || is_signed || !is_counter_size(size))
    return fail("is no counter; counters are __u64 or __u32");
  const traffic::Counter counter{name, offset, size};
  const std::string family = traffic::family_name(layout, counter);
  for (const traffic::Counter& other : layout.counters)
    if (traffic::family_name(layout, other) == family)
      return fail("gives " + family + ", as member " + other.name + " does; rename one of them");
  if (offset + size > layout.value_size) return fail("reaches past the end of the value");
  layout.counters.push_back(counter);
  return {};
}

Result<void> check_size(const btf* b, std::uint32_t id, std::uint32_t want,
                        const std::string& where) {
  const auto size = btf__resolve_size(b, id);
  if (size < 0) return fail(where + ": type id " + std::to_string(id) + " has no size in the BTF");
  if (size != static_cast<std::int64_t>(want))
    return fail(where + ": the BTF says " + std::to_string(size) + " bytes, the map has " +
                std::to_string(want));
  return {};
}

Result<void> decode_key(traffic::Layout& layout, const btf* b, const MapTypes& types) {
  const std::uint32_t type_id = types.key_type_id;
  const std::string where = "map " + layout.map + ": key";
  if (auto ok = check_size(b, type_id, layout.key_size, where); !ok) return ok;
  const auto key = resolve(b, type_id);
  if (!key) return fail(where + ": " + key.error().what);
  const auto leaf = [&](const std::string& name, const Resolved& r, std::uint32_t offset,
                        std::uint32_t size) -> Result<void> {
    if (std::ranges::find(types.hidden, name) != types.hidden.end()) return {};
    return add_label(layout, b, name, r, offset, size);
  };
  if (btf_is_struct(key->type) && !key->is("nfbpf_ipv6_t") && type_name(b, key->type) != "in6_addr")
    return MemberWalk(b, where, leaf).walk(key->type, "", 0, 0);
  auto ok = leaf(scalar_label(b, *key), *key, 0, layout.key_size);
  return ok ? ok : fail(where + ": " + ok.error().what);
}

std::string with_prefix(std::string_view name) {
  return (name.starts_with("nfbpf_") ? "" : "nfbpf_") + std::string(name);
}

Result<void> decode_value(traffic::Layout& layout, const btf* b, std::uint32_t type_id) {
  const std::string where = "map " + layout.map + ": value";
  if (auto ok = check_size(b, type_id, layout.value_size, where); !ok) return ok;
  const auto value = resolve(b, type_id);
  if (!value) return fail(where + ": " + value.error().what);
  const auto leaf = [&](const std::string& name, const Resolved& r, std::uint32_t offset,
                        std::uint32_t size) { return add_counter(layout, name, r, offset, size); };
  const bool is_struct = btf_is_struct(value->type);
  const std::string_view name = is_struct ? type_name(b, value->type) : std::string_view{};
  layout.family = with_prefix(name.empty() ? layout.map : name);
  if (is_struct) {
    if (auto ok = MemberWalk(b, where, leaf).walk(value->type, "", 0, 0); !ok) return ok;
  } else if (auto ok = leaf("", *value, 0, layout.value_size); !ok) {
    return fail(where + ": " + ok.error().what);
  }
  if (layout.counters.empty()) return fail(where + ": has no counter to show");
  return {};
}

}  // namespace

void Btf::Free::operator()(struct btf* b) const {
  btf__free(b);
}

Result<Btf> Btf::parse(std::span<const std::byte> raw, const std::string& name) {
  if (raw.size() > std::numeric_limits<std::uint32_t>::max())
    return fail(name + ": is too large for BTF");
  errno = 0;
  struct btf* parsed = btf__new(raw.data(), static_cast<std::uint32_t>(raw.size()));
  if (parsed == nullptr) return fail_errno(errno, name + ": is not BTF");
  return Btf(parsed);
}

Result<traffic::Layout> decode_layout(const Btf& btf, const MapTypes& types) {
  traffic::Layout layout;
  layout.map = types.map;
  layout.key_size = types.key_size;
  layout.value_size = types.value_size;
  if (auto ok = decode_key(layout, btf.get(), types); !ok) return tl::unexpected(ok.error());
  if (auto ok = decode_value(layout, btf.get(), types.value_type_id); !ok)
    return tl::unexpected(ok.error());
  return layout;
}

}  // namespace nfbpf::reader
