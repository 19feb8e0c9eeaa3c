// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "traffic/table.h"

struct btf;
struct btf_type;

namespace nfbpf::reader {

// The enumerators of an enum as label values: what all names share up to the last '_' is left out
// and the rest is lower case, so NFBPF_DIRECTION_IN is "in". When that would make two of them
// alike, or one that looks like a number, the names stay as they are.
[[nodiscard]] std::vector<traffic::EnumName> enum_names(const btf* b, const btf_type* t);

}  // namespace nfbpf::reader
