// SPDX-License-Identifier: Apache-2.0
#include "loader/constants.h"

#include <bpf/btf.h>

namespace nfbpf::loader {
namespace {

std::optional<std::span<std::byte>> find_in(const btf* types, std::span<std::byte> data,
                                            std::string_view name) {
  const int section = btf__find_by_name_kind(types, ".rodata", BTF_KIND_DATASEC);
  if (section < 0) return std::nullopt;
  const btf_type* type = btf__type_by_id(types, static_cast<__u32>(section));
  const btf_var_secinfo* var = btf_var_secinfos(type);
  for (int i = 0; i < btf_vlen(type); ++i, ++var) {
    const btf_type* var_type = btf__type_by_id(types, var->type);
    if (name != btf__name_by_offset(types, var_type->name_off)) continue;
    if (var->offset > data.size() || var->size > data.size() - var->offset) return std::nullopt;
    return data.subspan(var->offset, var->size);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::span<std::byte>> find_constant(bpf_object* object, std::string_view name) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (!bpf_map__is_internal(map) || !std::string_view(bpf_map__name(map)).ends_with(".rodata"))
      continue;
    std::size_t size = 0;
    void* data = const_cast<void*>(bpf_map__initial_value(map, &size));
    if (data == nullptr) continue;
    if (auto found = find_in(bpf_object__btf(object), {static_cast<std::byte*>(data), size}, name))
      return found;
  }
  return std::nullopt;
}

}  // namespace nfbpf::loader
