// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/place.h"
#include "traffic/networks.h"

namespace nfbpf::config {

// The keys networks, networks_file and groups. Errors of the file begin with its own name and line.
[[nodiscard]] Result<void> read_networks(const Place& place, const YAML::Node& node,
                                         traffic::Networks& networks);
[[nodiscard]] Result<void> read_networks_file(const Place& place, const YAML::Node& node,
                                              traffic::Networks& networks);
[[nodiscard]] Result<void> read_groups(const Place& place, const YAML::Node& node,
                                       std::map<std::string, traffic::Shown>& labels);

}  // namespace nfbpf::config
