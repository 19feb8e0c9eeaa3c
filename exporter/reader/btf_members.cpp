// SPDX-License-Identifier: Apache-2.0
#include "reader/btf_members.h"

#include <bpf/btf.h>

#include <map>

#include "reader/label_kind.h"

namespace nfbpf::reader {
namespace {

// Structs and typedefs nested deeper than this are a loop in a malformed BTF.
constexpr int kMaxDepth = 16;
// More members than any map has that a person reads.
constexpr std::size_t kMaxMembers = 256;
// Structs without members of their own cost time, too.
constexpr std::size_t kMaxVisited = 4096;
constexpr std::string_view kTagPrefix = "nfbpf:";

// Typedef names that declaration tags stand for, by struct and number of the member.
using Tags = std::multimap<std::pair<std::uint32_t, std::int32_t>, std::string_view>;

Tags tags_of(const btf* b) {
  Tags tags;
  for (std::uint32_t id = 1; id < btf__type_cnt(b); ++id) {
    const btf_type* t = btf__type_by_id(b, id);
    if (!btf_is_decl_tag(t) || !type_name(b, t).starts_with(kTagPrefix)) continue;
    const std::string_view word = type_name(b, t).substr(kTagPrefix.size());
    if (const auto name = typedef_of_tag(word); !name.empty())
      tags.emplace(std::pair(t->type, btf_decl_tag(t)->component_idx), name);
  }
  return tags;
}

std::string joined(const std::string& prefix, std::string_view name) {
  if (prefix.empty() || name.empty()) return prefix + std::string(name);
  return prefix + "_" + std::string(name);
}

class MemberWalk {
 public:
  // `size` is of the whole, in bytes: nothing in it may reach further.
  MemberWalk(const btf* b, const std::string& where, std::uint64_t size)
      : btf_(b), where_(where), size_(size), tags_(tags_of(b)) {}

  Result<void> walk(const Resolved& whole, const std::string& prefix, std::uint32_t base) {
    if (std::ranges::find(open_, whole.id) != open_.end() || open_.size() > kMaxDepth)
      return fail(place(prefix, base) + ": is a struct that holds itself; the BTF is malformed");
    open_.push_back(whole.id);
    for (std::uint32_t i = 0; i < btf_vlen(whole.type); ++i)
      if (auto ok = member(whole, i, prefix, base); !ok) return ok;
    open_.pop_back();
    return {};
  }

  [[nodiscard]] std::vector<Member> take() { return std::move(members_); }

 private:
  // "map m: key port", and for a member without a name "map m: key at byte 4".
  [[nodiscard]] std::string place(const std::string& name, std::uint32_t offset) const {
    return where_ + (name.empty() ? " at byte " + std::to_string(offset) : " " + name);
  }

  Result<void> member(const Resolved& whole, std::uint32_t index, const std::string& prefix,
                      std::uint32_t base) {
    const btf_member& m = btf_members(whole.type)[index];
    const char* own = btf__name_by_offset(btf_, m.name_off);
    Member member{joined(prefix, own == nullptr ? "" : own), prefix, {}, 0, 0};
    const std::uint32_t bits = btf_member_bit_offset(whole.type, index);
    const std::uint64_t offset = std::uint64_t{base} + bits / 8;
    if (offset > size_) return fail(place(member.name, base) + ": reaches past the end");
    member.offset = static_cast<std::uint32_t>(offset);
    const std::string at = place(member.name, member.offset);
    if (btf_member_bitfield_size(whole.type, index) != 0 || bits % 8 != 0)
      return fail(at + ": is a bit field; give it whole bytes");
    auto resolved = resolve(btf_, m.type);
    if (!resolved) return fail(at + ": " + resolved.error().what);
    const auto [tag, end] = tags_.equal_range({whole.id, static_cast<std::int32_t>(index)});
    for (auto each = tag; each != end; ++each)
      resolved->typedefs.insert(resolved->typedefs.begin(), each->second);
    const auto size = btf__resolve_size(btf_, m.type);
    if (size < 0) return fail(at + ": has no size");
    if (offset + static_cast<std::uint64_t>(size) > size_)
      return fail(at + ": reaches past the end");
    if (++visited_ > kMaxVisited)
      return fail(at + ": the struct and those in it have more than " +
                  std::to_string(kMaxVisited) + " members; split it");
    if (btf_is_struct(resolved->type) && !is_shown_whole(btf_, *resolved))
      return walk(*resolved, member.name, member.offset);
    if (members_.size() == kMaxMembers)
      return fail(at + ": is member " + std::to_string(kMaxMembers + 1) + ", at most " +
                  std::to_string(kMaxMembers) + " are shown; split the struct");
    member.type = std::move(*resolved);
    member.size = static_cast<std::uint32_t>(size);
    members_.push_back(std::move(member));
    return {};
  }

  const btf* btf_;
  const std::string& where_;
  std::uint64_t size_;
  std::size_t visited_ = 0;
  Tags tags_;
  std::vector<std::uint32_t> open_;  // structs that we are in
  std::vector<Member> members_;
};

}  // namespace

std::string_view type_name(const btf* b, const btf_type* t) {
  const char* name = btf__name_by_offset(b, t->name_off);
  return name == nullptr ? std::string_view{} : std::string_view{name};
}

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

Result<std::vector<Member>> members_of(const btf* b, std::uint32_t id, const std::string& where) {
  auto whole = resolve(b, id);
  if (!whole) return fail(where + ": " + whole.error().what);
  if (btf_is_struct(whole->type) && !is_shown_whole(b, *whole)) {
    const auto bytes = btf__resolve_size(b, id);
    if (bytes < 0) return fail(where + ": has no size");
    MemberWalk walk(b, where, static_cast<std::uint64_t>(bytes));
    if (auto ok = walk.walk(*whole, "", 0); !ok) return tl::unexpected(ok.error());
    return walk.take();
  }
  const auto size = btf__resolve_size(b, id);
  if (size < 0) return fail(where + ": has no size");
  return std::vector<Member>{{"", "", std::move(*whole), 0, static_cast<std::uint32_t>(size)}};
}

}  // namespace nfbpf::reader
