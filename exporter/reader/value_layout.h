// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/result.h"
#include "traffic/map_rules.h"
#include "traffic/table.h"

struct btf;

namespace nfbpf::reader {

// Adds the family, counters and histograms of a value of type `type_id` to a layout whose map,
// value_size and labels are set.
[[nodiscard]] Result<void> decode_value(traffic::Layout& layout, const btf* b,
                                        std::uint32_t type_id, const traffic::MapRules& rules);

}  // namespace nfbpf::reader
