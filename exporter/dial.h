// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace nfbpf {

// A TCP connection to the first address of the host that takes one. The host is a name or a number,
// IPv6 without brackets; the port is a number. Each step of what comes, connecting included, takes
// `seconds` at most.
[[nodiscard]] Result<UniqueFd> dial(const std::string& host, const std::string& port, long seconds);

}  // namespace nfbpf
