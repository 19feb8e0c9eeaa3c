// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace nfbpf::http {

using Parameters = std::vector<std::pair<std::string, std::string>>;

// "a=b&c=d+e%21" as names and values, decoded (the URL standard's
// application/x-www-form-urlencoded). What is no escape, no UTF-8 or a control character once
// decoded is an error.
[[nodiscard]] Result<Parameters> parse_query(std::string_view query);

}  // namespace nfbpf::http
