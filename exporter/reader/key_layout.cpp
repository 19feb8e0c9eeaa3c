// SPDX-License-Identifier: Apache-2.0
#include "reader/key_layout.h"

#include <bpf/btf.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "reader/btf_members.h"
#include "reader/label_kind.h"
#include "reader/rule_names.h"

namespace nfbpf::reader {
namespace {

using traffic::FieldKind;

// Half of what a BPF program's stack can hold; past it a label is no name but content.
constexpr std::uint32_t kMaxKeyBytes = 256;
constexpr std::size_t kMaxLabels = 32;
constexpr std::uint64_t kAfInet = 2;  // linux/socket.h
constexpr std::uint64_t kAfInet6 = 10;

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

// The number that says which address is in a union, if this member is one.
std::optional<traffic::FamilyChoice> choice_by(const btf* b, const Member& member) {
  if (btf_is_any_enum(member.type.type) && type_name(b, member.type.type) == "nfbpf_family" &&
      member.size <= sizeof(std::uint64_t))
    return traffic::FamilyChoice{member.offset, member.size, 1, 2};
  if (btf_is_int(member.type.type) && member.own_name() == "family" && member.size <= 4)
    return traffic::FamilyChoice{member.offset, member.size, kAfInet, kAfInet6};
  return std::nullopt;
}

// One in the struct that the union is in, else one in the whole key.
Result<traffic::FamilyChoice> choice_for(const btf* b, const Member& choosing,
                                         const std::vector<Member>& members) {
  std::vector<traffic::FamilyChoice> beside;
  std::vector<traffic::FamilyChoice> anywhere;
  for (const Member& member : members) {
    const auto choice = choice_by(b, member);
    if (!choice) continue;
    anywhere.push_back(*choice);
    if (member.parent == choosing.parent) beside.push_back(*choice);
  }
  const auto& candidates = beside.empty() ? anywhere : beside;
  if (candidates.size() == 1) return candidates.front();
  return fail(std::string("is a union and ") +
              (candidates.empty() ? "nothing says" : "more than one member may say") +
              " which of its members is in use; give the key one member of enum nfbpf_family, or "
              "one integer named family with AF_INET or AF_INET6");
}

// Whether a union is of one IPv4 and one IPv6 address and nothing else.
bool holds_addresses(const btf* b, const btf_type* t) {
  int ipv4 = 0;
  int ipv6 = 0;
  for (std::uint32_t i = 0; i < btf_vlen(t); ++i) {
    const btf_member& m = btf_members(t)[i];
    auto type = resolve(b, m.type);
    const auto size = btf__resolve_size(b, m.type);
    if (!type || size < 0) return false;
    const char* name = btf__name_by_offset(b, m.name_off);
    const auto kind = label_kind(b, {name == nullptr ? "" : name, "", std::move(*type), 0,
                                     static_cast<std::uint32_t>(size)});
    ipv4 += kind && !kind->hidden && kind->kind == FieldKind::kIpv4 ? 1 : 0;
    ipv6 += kind && !kind->hidden && kind->kind == FieldKind::kIpv6 ? 1 : 0;
  }
  return btf_vlen(t) == 2 && ipv4 == 1 && ipv6 == 1;
}

Result<traffic::Field> field_of(const btf* b, const Member& member,
                                const std::vector<Member>& members) {
  traffic::Field field{member.name, FieldKind::kIpChoice, member.offset, member.size, {}};
  if (btf_is_union(member.type.type) && !is_shown_whole(b, member.type)) {
    if (!holds_addresses(b, member.type.type))
      return fail(
          "is a union of other members than one nfbpf_ipv4_t and one nfbpf_ipv6_t, which alone "
          "can be shown; use a struct");
    const auto choice = choice_for(b, member, members);
    if (!choice) return tl::unexpected(choice.error());
    field.choice = *choice;
    return field;
  }
  auto kind = label_kind(b, member);
  if (!kind) return tl::unexpected(kind.error());
  field.kind = kind->kind;
  field.names = std::move(kind->names);
  return field;
}

Result<void> add_label(traffic::Layout& layout, const btf* b, const Member& member,
                       const std::vector<Member>& members, const traffic::MapRules& rules) {
  const auto rule = rules.labels.find(member.name);
  if (rule != rules.labels.end() && rule->second.drop) return {};
  if (is_hidden(b, member.type)) return {};
  auto field = field_of(b, member, members);
  if (!field) return tl::unexpected(field.error());
  if (rule != rules.labels.end() && !rule->second.name.empty()) field->name = rule->second.name;
  if (!is_label_name(field->name)) return fail("is not a name that a Prometheus label may have");
  if (std::ranges::find(layout.labels, field->name, &traffic::Field::name) != layout.labels.end())
    return fail("is the second member of that name");
  if (field->offset + field->size > layout.key_size) return fail("reaches past the end of the key");
  if (layout.labels.size() == kMaxLabels)
    return fail("is label " + std::to_string(kMaxLabels + 1) + ", at most " +
                std::to_string(kMaxLabels) + " are shown; drop some in the configuration");
  layout.labels.push_back(std::move(*field));
  return {};
}

}  // namespace

Result<void> decode_key(traffic::Layout& layout, const btf* b, const MapTypes& types,
                        const traffic::MapRules& rules) {
  const std::string where = "map " + layout.map + ": key";
  if (layout.key_size > kMaxKeyBytes)
    return fail(where + ": has " + std::to_string(layout.key_size) + " bytes, at most " +
                std::to_string(kMaxKeyBytes) + " are shown; make it smaller");
  auto members = members_of(b, types.key_type_id, where);
  if (!members) return tl::unexpected(members.error());
  // Shown under its type's name, without one of its own in errors.
  const bool is_scalar = members->size() == 1 && members->front().name.empty();
  if (is_scalar) members->front().name = scalar_label(b, members->front().type);
  if (auto ok = check_rule_names(rules.labels, *members, where, "labels"); !ok) return ok;
  for (const Member& member : *members) {
    if (std::ranges::find(types.hidden, member.name) != types.hidden.end()) continue;
    auto ok = add_label(layout, b, member, *members, rules);
    if (!ok) return fail(where + (is_scalar ? "" : member_place(member)) + ": " + ok.error().what);
  }
  return {};
}

}  // namespace nfbpf::reader
