// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "loader/map_layout.h"

namespace nfbpf::loader {

// One member of an old value, and where it stands in the new one. Offsets and size in bytes.
struct ValueMove {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  std::uint32_t size = 0;     // in the old value
  std::uint32_t to_size = 0;  // in the new one; larger only for a counter that was widened
  bool adds = false;          // a counter of 4 or 8 bytes: both values may have counted, and add up
};

// How a value of one type becomes one of another. Members are the same where their paths are
// ("rtt.slots[3]"), wherever they stand; members that the new type alone has begin at 0. A member
// that is gone, or is of another kind or size (a counter may grow from 4 to 8 bytes), is an error
// that names it, unless `may_drop`. Members of type nfbpf_reserved*_t hold nothing and are left
// out.
[[nodiscard]] Result<std::vector<ValueMove>> value_moves(TypeRef was, TypeRef is, bool may_drop);

}  // namespace nfbpf::loader
