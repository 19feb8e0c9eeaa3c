// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "traffic/table.h"

namespace nfbpf::reader {

// Names of interfaces by their numbers, ascending; a test has its own.
using InterfaceNames = std::function<std::vector<traffic::EnumName>()>;

// Those of this process' network namespace, without privilege. Nothing where they cannot be had. A
// name that looks like a number is left out: it would be taken for another interface's.
[[nodiscard]] std::vector<traffic::EnumName> own_interface_names();

// The table with its labels of interface names resolved; as it is when it has none.
[[nodiscard]] traffic::Table with_interface_names(traffic::Table table,
                                                  const std::vector<traffic::EnumName>& names);
[[nodiscard]] bool has_interface_names(const traffic::Layout& layout);

}  // namespace nfbpf::reader
