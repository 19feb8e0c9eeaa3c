// SPDX-License-Identifier: Apache-2.0
#include "reader/value_layout.h"

#include <bpf/btf.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "reader/btf_enum.h"
#include "reader/btf_members.h"
#include "reader/label_kind.h"
#include "reader/rule_names.h"
#include "traffic/families.h"

namespace nfbpf::reader {
namespace {

using traffic::MetricType;
using traffic::NamedUnit;
using traffic::Unit;

constexpr std::uint32_t kSlotBytes = 8;
constexpr std::uint32_t kMaxLog2Slots = 64;  // one for each bit of a u64
constexpr std::uint32_t kMaxSlots = 256;

bool is_metric_name(const std::string& name) {
  const auto word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == ':';
  };
  return !name.empty() && !std::isdigit(static_cast<unsigned char>(name[0])) &&
         std::ranges::all_of(name, word);
}

bool is_signed_int(const btf_type* t) {
  return btf_is_int(t) && (btf_int_encoding(t) & BTF_INT_SIGNED) != 0;
}

// Ends a name in its unit, once.
std::string with_unit(std::string name, std::string_view unit) {
  if (name == unit || name.ends_with("_" + std::string(unit))) return name;
  return name + (name.empty() ? "" : "_") + std::string(unit);
}

// What a member is called in its metric and what it counts: as its type or name says, unless the
// configuration says otherwise.
struct Naming {
  std::string name;
  Unit unit = Unit::kCount;
};

Naming naming_of(const std::string& member, bool is_ns_type, const traffic::MemberRule& rule) {
  const bool has_suffix = member == "ns" || member.ends_with("_ns");
  const NamedUnit unit =
      rule.unit.value_or(has_suffix || is_ns_type ? NamedUnit::kNanoseconds : NamedUnit::kNone);
  std::string name = rule.name.empty() ? member : rule.name;
  if (unit == NamedUnit::kNanoseconds && rule.name.empty() && has_suffix)
    name.resize(name.size() - std::min<std::size_t>(name.size(), 3));
  switch (unit) {
    case NamedUnit::kNone:
      return {name, Unit::kCount};
    case NamedUnit::kNanoseconds:
      return {with_unit(name, "seconds"), Unit::kNanoseconds};
    case NamedUnit::kSeconds:
      return {with_unit(name, "seconds"), Unit::kCount};
    case NamedUnit::kBytes:
      return {with_unit(name, "bytes"), Unit::kCount};
  }
  return {name, Unit::kCount};
}

class ValueDecoder {
 public:
  ValueDecoder(traffic::Layout& layout, const btf* b, const std::vector<Member>& members,
               const traffic::MapRules& rules)
      : layout_(layout), btf_(b), members_(members), rules_(rules) {}

  Result<void> add(const Member& member) {
    static const traffic::MemberRule kNoRule;
    const auto found = rules_.members.find(member.name);
    const traffic::MemberRule& rule = found == rules_.members.end() ? kNoRule : found->second;
    if (rule.drop || is_hidden(btf_, member.type) || belongs_to_a_histogram(member)) return {};
    if (member.offset + member.size > layout_.value_size)
      return fail("reaches past the end of the value");
    if (btf_is_array(member.type.type)) return add_histogram(member, rule);
    if (!rule.bounds.empty()) return fail("is no array, so it has no use for bounds");
    return add_counter(member, rule);
  }

 private:
  [[nodiscard]] const Member* find(const std::string& name) const {
    const auto found = std::ranges::find(members_, name, &Member::name);
    return found == members_.end() ? nullptr : &*found;
  }

  // NAME_sum and NAME_bounds of an array NAME.
  [[nodiscard]] bool belongs_to_a_histogram(const Member& member) const {
    return std::ranges::any_of(members_, [&](const Member& array) {
      return btf_is_array(array.type.type) &&
             (member.name == array.name + "_sum" || member.name == array.name + "_bounds");
    });
  }

  Result<void> add_counter(const Member& member, const traffic::MemberRule& rule) {
    if (!btf_is_int(member.type.type) || (member.size != 4 && member.size != 8))
      return fail("is no counter; counters are __u64 or __u32");
    const bool is_signed = is_signed_int(member.type.type);
    auto [name, unit] = naming_of(member.name, member.type.is("nfbpf_ns_t"), rule);
    // What can be negative can fall.
    const bool gauge = is_signed || member.type.is("nfbpf_gauge_t");
    layout_.counters.push_back(
        {std::move(name), member.offset, member.size, unit,
         rule.type.value_or(gauge ? MetricType::kGauge : MetricType::kCounter), is_signed,
         help_of(rule)});
    return claim(traffic::family_names(layout_, layout_.counters.back()), member);
  }

  Result<void> add_histogram(const Member& member, const traffic::MemberRule& rule) {
    if (auto ok = check_slots(member, rule); !ok) return ok;
    auto bounds = bounds_of(member, rule);
    if (!bounds) return tl::unexpected(bounds.error());
    const Member* sum = find(member.name + "_sum");
    if (sum == nullptr || !btf_is_int(sum->type.type) || is_signed_int(sum->type.type) ||
        sum->size != kSlotBytes)
      return fail("is a histogram without its sum; add __u64 " + member.name + "_sum");
    auto [name, unit] = naming_of(member.name, sum->type.is("nfbpf_ns_t"), rule);
    const auto first = static_cast<std::uint32_t>(layout_.counters.size());
    for (std::uint32_t at = 0; at < member.size; at += kSlotBytes) add_part(member.offset + at);
    add_part(sum->offset);
    const auto last = static_cast<std::uint32_t>(layout_.counters.size() - 1);
    layout_.histograms.push_back(
        {std::move(name), first, last, std::move(*bounds), unit, help_of(rule)});
    return claim(traffic::family_names(layout_, layout_.histograms.back()), member);
  }

  void add_part(std::uint32_t offset) {
    layout_.counters.push_back(
        {"", offset, kSlotBytes, Unit::kCount, MetricType::kHistogram, false, ""});
  }

  Result<void> check_slots(const Member& member, const traffic::MemberRule& rule) const {
    const auto element = resolve(btf_, btf_array(member.type.type)->type);
    if (!element || !btf_is_int(element->type) || is_signed_int(element->type) ||
        element->type->size != kSlotBytes)
      return fail("is an array of something else than __u64; the slots of a histogram are __u64");
    if (rule.type) return fail("is a histogram, which has no use for a type");
    if (std::ranges::find(layout_.labels, "le", &traffic::Field::name) != layout_.labels.end())
      return fail("is a histogram and the key has a label le; rename that one");
    const std::uint32_t limit = is_log2(member) ? kMaxLog2Slots : kMaxSlots;
    const std::uint32_t slots = member.size / kSlotBytes;
    if (slots == 0 || slots > limit)
      return fail("has " + std::to_string(slots) + " slots, 1 to " + std::to_string(limit) +
                  " are shown; change the array");
    return {};
  }

  [[nodiscard]] bool is_log2(const Member& member) const {
    const auto element = resolve(btf_, btf_array(member.type.type)->type);
    return member.type.is("nfbpf_log2_slot_t") || (element && element->is("nfbpf_log2_slot_t"));
  }

  // Of every slot but the last: the configuration's, else the program's, else powers of two.
  Result<std::vector<std::uint64_t>> bounds_of(const Member& member,
                                               const traffic::MemberRule& rule) const {
    const std::size_t count = member.size / kSlotBytes - 1;
    std::vector<std::uint64_t> bounds = rule.bounds.empty() ? listed_bounds(member) : rule.bounds;
    if (bounds.empty() && is_log2(member)) {
      // Slot i counts what has its highest bit at i, so 2^i to 2^(i+1) - 1; slot 0 counts 0 too.
      for (std::size_t i = 0; i < count; ++i) bounds.push_back((std::uint64_t{2} << i) - 1);
      return bounds;
    }
    if (bounds.size() != count)
      return fail("has " + std::to_string(count + 1) + " slots and " +
                  std::to_string(bounds.size()) + " bounds, where " + std::to_string(count) +
                  " are wanted; use nfbpf_log2_slot_t, a member enum " + member.name +
                  "_bounds[0] or bounds in the configuration");
    const auto out_of_order = std::ranges::adjacent_find(bounds, std::ranges::greater_equal{});
    if (out_of_order != bounds.end())
      return fail("has bound " + std::to_string(out_of_order[1]) + " after " +
                  std::to_string(out_of_order[0]) + "; bounds ascend");
    return bounds;
  }

  // The enumerators of a member `enum ... NAME_bounds[0]`, which takes no room in the value.
  [[nodiscard]] std::vector<std::uint64_t> listed_bounds(const Member& member) const {
    std::vector<std::uint64_t> bounds;
    const Member* list = find(member.name + "_bounds");
    if (list == nullptr || !btf_is_array(list->type.type)) return bounds;
    const auto element = resolve(btf_, btf_array(list->type.type)->type);
    if (!element || !btf_is_any_enum(element->type)) return bounds;
    for (const auto& [value, name] : enum_names(btf_, element->type)) bounds.push_back(value);
    return bounds;
  }

  [[nodiscard]] std::string help_of(const traffic::MemberRule& rule) const {
    return rule.help.empty() ? rules_.help : rule.help;
  }

  // Two members may differ and give one metric.
  Result<void> claim(const traffic::FamilyNames& names, const Member& member) {
    if (!is_metric_name(names.family))
      return fail("gives \"" + names.family + "\", which no metric may be called; rename it");
    for (const std::string& sample : names.samples) {
      for (const auto& [claimed, by] : claimed_)
        if (claimed == sample)
          return fail("gives " + sample + ", as member " + by + " does; rename one of them");
      claimed_.emplace_back(sample, member.name);
    }
    return {};
  }

  traffic::Layout& layout_;
  const btf* btf_;
  const std::vector<Member>& members_;
  const traffic::MapRules& rules_;
  std::vector<std::pair<std::string, std::string>> claimed_;  // sample's name, member's name
};

std::string family_prefix(const traffic::Layout& layout, const btf* b, std::uint32_t type_id,
                          const traffic::MapRules& rules) {
  if (!rules.family.empty()) return rules.family;
  const auto value = resolve(b, type_id);
  const bool is_struct = value && btf_is_struct(value->type);
  const std::string_view own = is_struct ? type_name(b, value->type) : std::string_view{};
  const std::string name(own.empty() ? layout.map : own);
  return name.starts_with("nfbpf_") ? name : "nfbpf_" + name;
}

}  // namespace

Result<void> decode_value(traffic::Layout& layout, const btf* b, std::uint32_t type_id,
                          const traffic::MapRules& rules) {
  const std::string where = "map " + layout.map + ": value";
  const auto members = members_of(b, type_id, where);
  if (!members) return tl::unexpected(members.error());
  if (auto ok = check_rule_names(rules.members, *members, where, "members"); !ok) return ok;
  layout.family = family_prefix(layout, b, type_id, rules);
  ValueDecoder decoder(layout, b, *members, rules);
  const bool is_scalar = members->size() == 1 && members->front().name.empty();
  for (const Member& member : *members) {
    auto ok = decoder.add(member);
    if (!ok) return fail(where + (is_scalar ? "" : member_place(member)) + ": " + ok.error().what);
  }
  if (layout.counters.empty()) return fail(where + ": has no counter to show");
  return {};
}

}  // namespace nfbpf::reader
