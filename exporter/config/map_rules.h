// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace YAML {
class Node;
}

namespace nfbpf::config {

struct Place;

// The sections of the file whose keys are names of maps and members.
[[nodiscard]] Result<void> read_map_rules(const Place& place, const YAML::Node& node,
                                          traffic::RulesByMap& rules);
[[nodiscard]] Result<void> read_pinned_maps(const Place& place, const YAML::Node& node,
                                            std::vector<PinnedMap>& maps);

// The keys that there are below maps.NAME, maps.NAME.members.NAME, maps.NAME.labels.NAME and in an
// entry of pinned_maps.
struct RuleKeys {
  std::vector<std::string> map, member, label, pinned;
};
[[nodiscard]] RuleKeys rule_keys();

// Words of a member's unit and type.
inline constexpr const char* kUnits = "none, nanoseconds, seconds or bytes";
inline constexpr const char* kTypes = "counter or gauge";
[[nodiscard]] std::optional<traffic::NamedUnit> unit_of(std::string_view word);
[[nodiscard]] std::optional<traffic::MetricType> type_of(std::string_view word);

}  // namespace nfbpf::config
