// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/btf.h>

#include <optional>
#include <string>

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

}  // namespace nfbpf::loader
