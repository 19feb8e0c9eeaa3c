// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "traffic/table.h"

namespace nfbpf::traffic {

// How many series a family would have if it had these labels and no others.
struct LabelSetSize {
  std::string family;
  std::vector<std::string> labels;
  std::uint64_t series = 0;
  bool operator==(const LabelSetSize&) const = default;
};

// For each family and each set of its labels; of more than six labels the single ones, the pairs
// and all of them. Tables of one family that have the same label names are counted together, as
// none of their rows are shown alike. Sorted by family, then by series.
[[nodiscard]] std::vector<LabelSetSize> label_set_sizes(std::span<const Table> tables);

}  // namespace nfbpf::traffic
