// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "reader/layout.h"
#include "traffic/map_rules.h"
#include "traffic/table.h"

struct btf;

namespace nfbpf::reader {

// Adds the labels of the map's key to a layout whose map and key_size are set.
[[nodiscard]] Result<void> decode_key(traffic::Layout& layout, const btf* b, const MapTypes& types,
                                      const traffic::MapRules& rules);

}  // namespace nfbpf::reader
