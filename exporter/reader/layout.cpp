// SPDX-License-Identifier: Apache-2.0
#include "reader/layout.h"

#include <abi/nfbpf.h>
#include <bpf/btf.h>

#include <cerrno>
#include <limits>

#include "reader/btf_members.h"
#include "reader/key_layout.h"
#include "reader/value_layout.h"

namespace nfbpf::reader {
namespace {

Result<void> check_size(const btf* b, std::uint32_t id, std::uint32_t want,
                        const std::string& where) {
  const auto size = btf__resolve_size(b, id);
  if (size < 0) return fail(where + ": type id " + std::to_string(id) + " has no size in the BTF");
  if (size != static_cast<std::int64_t>(want))
    return fail(where + ": the BTF says " + std::to_string(size) + " bytes, the map has " +
                std::to_string(want));
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

bool is_state(const Btf& btf, std::uint32_t value_type_id) {
  const auto value = resolve(btf.get(), value_type_id);
  return value && btf_is_struct(value->type) &&
         type_name(btf.get(), value->type).ends_with(NFBPF_STATE_SUFFIX);
}

bool has_epoch(const Btf& btf) {
  return btf__find_by_name_kind(btf.get(), NFBPF_EPOCH_SECTION, BTF_KIND_DATASEC) > 0;
}

Result<traffic::Layout> decode_layout(const Btf& btf, const MapTypes& types,
                                      const traffic::MapRules& rules) {
  traffic::Layout layout;
  layout.map = types.map;
  layout.key_size = types.key_size;
  layout.value_size = types.value_size;
  const auto* b = btf.get();
  const std::string where = "map " + types.map;
  if (auto ok = check_size(b, types.key_type_id, types.key_size, where + ": key"); !ok)
    return tl::unexpected(ok.error());
  if (auto ok = check_size(b, types.value_type_id, types.value_size, where + ": value"); !ok)
    return tl::unexpected(ok.error());
  if (auto ok = decode_key(layout, b, types, rules); !ok) return tl::unexpected(ok.error());
  if (auto ok = decode_value(layout, b, types.value_type_id, rules); !ok)
    return tl::unexpected(ok.error());
  return layout;
}

}  // namespace nfbpf::reader
