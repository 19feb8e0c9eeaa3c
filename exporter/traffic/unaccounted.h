// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "traffic/table.h"

namespace nfbpf::traffic {

// Packets that the module met at a hook and that are in no row, not in overflow and not in
// filtered.
struct Unaccounted {
  std::string family;  // ipv4, ipv6
  std::string hook;    // as the totals name it, e.g. local_in
  std::uint64_t packets = 0;
  bool operator==(const Unaccounted&) const = default;
};

// The module adds to its totals before it runs the program, and packets go on while the maps are
// read. So `totals` have to be those of before the read: what they hold is in the maps by then, or
// it is lost. A loss that is smaller than what came in during the read shows when it is quieter.
//
// `tables` are the maps of the built-in program. Nothing, if one of them is missing or does not
// tell directions apart: then it cannot be said.
[[nodiscard]] std::optional<std::vector<Unaccounted>> unaccounted(const Table& totals,
                                                                  const std::vector<Table>& tables);

}  // namespace nfbpf::traffic
