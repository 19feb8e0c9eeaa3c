// SPDX-License-Identifier: Apache-2.0
#include "loader/map_layout.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "abi/nfbpf.h"

namespace nfbpf::loader {
namespace {

// Past typedefs, const and volatile: what lies in memory.
TypeRef in_memory(TypeRef type) {
  const btf_type* t = btf__type_by_id(type.types, type.id);
  while (t != nullptr && (btf_is_mod(t) || btf_is_typedef(t))) {
    type.id = t->type;
    t = btf__type_by_id(type.types, type.id);
  }
  return type;
}

const btf_type* get(TypeRef type) {
  return btf__type_by_id(type.types, type.id);
}

std::string_view name_of(const btf* types, __u32 offset) {
  const char* name = btf__name_by_offset(types, offset);
  return name == nullptr ? std::string_view() : name;
}

std::string place(const btf_type* type, const btf_member* member, const btf* types) {
  const auto index = static_cast<__u32>(member - btf_members(type));
  const __u32 bit = btf_member_bit_offset(type, index);
  return "at byte " + std::to_string(bit / 8) + " with " +
         std::to_string(btf__resolve_size(types, member->type)) + " bytes";
}

std::optional<std::string> member_difference(TypeRef was, TypeRef is, const std::string& where) {
  const btf_type* old_type = get(was);
  const btf_type* new_type = get(is);
  const int shared = std::min(btf_vlen(old_type), btf_vlen(new_type));
  for (int i = 0; i < shared; ++i) {
    const btf_member* old_member = btf_members(old_type) + i;
    const btf_member* new_member = btf_members(new_type) + i;
    const auto old_name = name_of(was.types, old_member->name_off);
    const auto new_name = name_of(is.types, new_member->name_off);
    const std::string path = where + "." + std::string(old_name);
    if (old_name != new_name) return path + ": is now called " + std::string(new_name);
    const std::string old_place = place(old_type, old_member, was.types);
    const std::string new_place = place(new_type, new_member, is.types);
    if (old_place != new_place) return path + ": was " + old_place + ", is " + new_place;
    if (auto deeper =
            layout_difference({was.types, old_member->type}, {is.types, new_member->type}, path)) {
      return deeper;
    }
  }
  if (btf_vlen(old_type) == btf_vlen(new_type)) return std::nullopt;
  const bool gone = btf_vlen(old_type) > btf_vlen(new_type);
  const btf_type* longer = gone ? old_type : new_type;
  const btf* types = gone ? was.types : is.types;
  return where + "." + std::string(name_of(types, (btf_members(longer) + shared)->name_off)) +
         (gone ? ": is gone" : ": is new");
}

}  // namespace

std::optional<std::string> layout_difference(TypeRef was, TypeRef is, const std::string& where) {
  was = in_memory(was);
  is = in_memory(is);
  const btf_type* old_type = get(was);
  const btf_type* new_type = get(is);
  if (old_type == nullptr || new_type == nullptr) return where + ": has no BTF";
  const __s64 old_size = btf__resolve_size(was.types, was.id);
  const __s64 new_size = btf__resolve_size(is.types, is.id);
  if (btf_kind(old_type) != btf_kind(new_type)) return where + ": is of another kind";
  if (btf_is_composite(old_type)) return member_difference(was, is, where);
  if (old_size != new_size) {
    return where + ": was " + std::to_string(old_size) + " bytes, is " + std::to_string(new_size);
  }
  if (btf_is_array(old_type)) {
    return layout_difference({was.types, btf_array(old_type)->type},
                             {is.types, btf_array(new_type)->type}, where + "[]");
  }
  return std::nullopt;
}

Result<bpf_map_info> map_info(int fd, const std::string& what) {
  bpf_map_info info{};
  __u32 length = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) return fail_errno(errno, what);
  return info;
}

Result<Types> types_of_map(const bpf_map_info& info, const std::filesystem::path& pin) {
  Types types(nullptr, btf__free);
  if (info.btf_id == 0) return types;
  types.reset(btf__load_from_kernel_by_id(info.btf_id));
  if (!types) return fail_errno(errno, "BTF of the map pinned at " + pin.string());
  return types;
}

bool is_state(const btf* types, __u32 value_type) {
  const btf_type* type = types == nullptr ? nullptr : btf__type_by_id(types, value_type);
  const char* name = type == nullptr ? nullptr : btf__name_by_offset(types, type->name_off);
  return name != nullptr && std::string_view(name).ends_with(NFBPF_STATE_SUFFIX);
}

}  // namespace nfbpf::loader
