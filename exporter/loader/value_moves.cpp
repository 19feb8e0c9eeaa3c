// SPDX-License-Identifier: Apache-2.0
#include "loader/value_moves.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

namespace nfbpf::loader {
namespace {

constexpr int kMaxDepth = 16;               // deeper, it is a loop in a malformed BTF
constexpr std::size_t kMaxLeaves = 1024;    // of one value
constexpr std::uint32_t kMaxArray = 65536;  // elements without a leaf in them cost time, too

// What lies in memory at the end of a path.
struct Leaf {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
  int kind = 0;  // BTF_KIND_*
  bool is_signed = false;
  bool adds = false;
};

class LeafWalk {
 public:
  explicit LeafWalk(const btf* types) : types_(types) {}

  Result<void> walk(__u32 id, const std::string& path, std::uint32_t offset, int depth = 0) {
    if (depth > kMaxDepth) return fail(path + ": is nested too deep to be moved");
    bool gauge = false;
    const btf_type* type = btf__type_by_id(types_, id);
    for (; type != nullptr && (btf_is_mod(type) || btf_is_typedef(type) || btf_is_type_tag(type));
         type = btf__type_by_id(types_, id)) {
      const std::string_view name = name_of(type->name_off);
      if (btf_is_typedef(type) && name.starts_with("nfbpf_reserved")) return {};
      gauge = gauge || (btf_is_typedef(type) && name == "nfbpf_gauge_t");
      id = type->type;
    }
    if (type == nullptr) return fail(path + ": has no BTF");
    if (btf_is_struct(type)) return members(type, id, path, offset, depth);
    if (btf_is_array(type)) return elements(type, path, offset, depth);
    const __s64 size = btf__resolve_size(types_, id);
    if (size < 0) return fail(path + ": has no size");
    if (leaves_.size() == kMaxLeaves) {
      return fail(path + ": is member " + std::to_string(kMaxLeaves + 1) + " of the value, " +
                  std::to_string(kMaxLeaves) + " can be moved");
    }
    const bool is_int = btf_is_int(type);
    const bool is_signed = is_int && (btf_int_encoding(type) & BTF_INT_SIGNED) != 0;
    const auto bytes = static_cast<std::uint32_t>(size);
    leaves_[path] = {offset, bytes, btf_kind(type), is_signed,
                     is_int && !is_signed && !gauge && (bytes == 4 || bytes == 8)};
    return {};
  }

  [[nodiscard]] const std::map<std::string, Leaf>& leaves() const { return leaves_; }

 private:
  [[nodiscard]] std::string_view name_of(__u32 offset) const {
    const char* name = btf__name_by_offset(types_, offset);
    return name == nullptr ? std::string_view() : name;
  }

  // A declaration tag says so where a typedef cannot.
  [[nodiscard]] bool is_tagged_gauge(__u32 id, int index) const {
    for (__u32 each = 1; each < btf__type_cnt(types_); ++each) {
      const btf_type* tag = btf__type_by_id(types_, each);
      if (btf_is_decl_tag(tag) && tag->type == id && btf_decl_tag(tag)->component_idx == index &&
          name_of(tag->name_off) == "nfbpf:gauge") {
        return true;
      }
    }
    return false;
  }

  Result<void> members(const btf_type* type, __u32 id, const std::string& path,
                       std::uint32_t offset, int depth) {
    for (int i = 0; i < btf_vlen(type); ++i) {
      const btf_member* member = btf_members(type) + i;
      const auto index = static_cast<__u32>(i);
      const std::string name(name_of(member->name_off));
      const std::string inner = name.empty() ? path : path + "." + name;
      const __u32 bit = btf_member_bit_offset(type, index);
      if (btf_member_bitfield_size(type, index) != 0 || bit % 8 != 0) {
        return fail(inner + ": is a bit field, which cannot be moved");
      }
      if (auto ok = walk(member->type, inner, offset + bit / 8, depth + 1); !ok) return ok;
      if (const auto leaf = leaves_.find(inner);
          leaf != leaves_.end() && leaf->second.adds && is_tagged_gauge(id, i)) {
        leaf->second.adds = false;
      }
    }
    return {};
  }

  // Text is one leaf; slots of a histogram are counters, each by itself.
  Result<void> elements(const btf_type* type, const std::string& path, std::uint32_t offset,
                        int depth) {
    const auto* array = btf_array(type);
    const __s64 size = btf__resolve_size(types_, array->type);
    if (size < 0 || array->nelems > kMaxArray) return fail(path + ": is too large to be moved");
    if (size == 1) {
      leaves_[path] = {offset, array->nelems, BTF_KIND_ARRAY, false, false};
      return {};
    }
    for (__u32 i = 0; i < array->nelems; ++i) {
      if (auto ok = walk(array->type, path + "[" + std::to_string(i) + "]",
                         offset + i * static_cast<std::uint32_t>(size), depth + 1);
          !ok) {
        return ok;
      }
    }
    return {};
  }

  const btf* types_;
  std::map<std::string, Leaf> leaves_;
};

// Empty: the same kind of thing.
std::string retyped(const Leaf& was, const Leaf& is) {
  if (was.adds && is.adds && was.size < is.size) return {};
  if (was.size != is.size) {
    return ": was " + std::to_string(was.size) + " bytes, is " + std::to_string(is.size);
  }
  if (was.kind != is.kind) return ": is of another kind";
  if (was.is_signed != is.is_signed) return is.is_signed ? ": is signed now" : ": was signed";
  return was.adds == is.adds ? "" : was.adds ? ": is a gauge now" : ": was a gauge";
}

}  // namespace

Result<std::vector<ValueMove>> value_moves(TypeRef was, TypeRef is, bool may_drop) {
  LeafWalk old_walk(was.types);
  LeafWalk new_walk(is.types);
  if (auto ok = old_walk.walk(was.id, "value", 0); !ok) return tl::unexpected(ok.error());
  if (auto ok = new_walk.walk(is.id, "value", 0); !ok) return tl::unexpected(ok.error());
  std::vector<ValueMove> moves;
  for (const auto& [path, leaf] : old_walk.leaves()) {
    const auto other = new_walk.leaves().find(path);
    const std::string difference =
        other == new_walk.leaves().end() ? ": is gone" : retyped(leaf, other->second);
    if (difference.empty()) {
      moves.push_back(
          {leaf.offset, other->second.offset, leaf.size, other->second.size, leaf.adds});
    } else if (!may_drop) {
      return fail(path + difference);
    }
  }
  return moves;
}

}  // namespace nfbpf::loader
