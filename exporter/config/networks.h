// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <istream>
#include <string>

#include "config/place.h"
#include "traffic/networks.h"

namespace nfbpf::config {

// The keys networks, networks_file and groups. Errors of the file begin with its own name and line.
[[nodiscard]] Result<void> read_networks(const Place& place, const YAML::Node& node,
                                         traffic::Networks& networks);
[[nodiscard]] Result<void> read_networks_file(const Place& place, const YAML::Node& node,
                                              traffic::Networks& networks);
// The file's lines, "cidr name"; `name` stands for the file in errors.
[[nodiscard]] Result<void> read_network_lines(std::istream& lines, const std::string& name,
                                              traffic::Networks& networks);
[[nodiscard]] Result<void> read_groups(const Place& place, const YAML::Node& node,
                                       std::map<std::string, traffic::Shown>& labels);

}  // namespace nfbpf::config
