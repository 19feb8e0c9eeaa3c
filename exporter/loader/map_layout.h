// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/btf.h>
#include <linux/bpf.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"

namespace nfbpf::loader {

// One type of one BTF.
struct TypeRef {
  const btf* types;
  __u32 id;
};

// What differs first between two types, as bytes are laid out in memory: names, offsets, sizes and
// kinds of members, all the way down; names of the structs themselves are free. Empty: the same.
// `where` is the path so far, e.g. "value".
//   "value.bytes: was at byte 8 with 8 bytes, is at byte 8 with 4 bytes"
[[nodiscard]] std::optional<std::string> layout_difference(TypeRef was, TypeRef is,
                                                           const std::string& where);

// What the kernel knows of a map; `what` is the error's.
[[nodiscard]] Result<bpf_map_info> map_info(int fd, const std::string& what);

// The BTF of a pinned map. Nothing where there is none, which is no error: sizes have to do then.
using Types = std::unique_ptr<btf, decltype(&btf__free)>;
[[nodiscard]] Result<Types> types_of_map(const bpf_map_info& info,
                                         const std::filesystem::path& pin);

// Whether a value is the program's own memory (abi/nfbpf.h), which a new program begins anew.
[[nodiscard]] bool is_state(const btf* types, __u32 value_type);

}  // namespace nfbpf::loader
