// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "http/server.h"

namespace nfbpf::http {

// The page at / with what belongs to it, from files of exporter/http/page that are in the binary.
// Asks /api/v1/traffic; `telemetry_path` is what it links to.
[[nodiscard]] std::vector<Route> page_routes(const std::string& telemetry_path);

}  // namespace nfbpf::http
