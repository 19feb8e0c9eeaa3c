// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "traffic/table.h"

namespace nfbpf::traffic {

// What a number counts, as a person says it; the family's name ends in it.
enum class NamedUnit : std::uint8_t { kNone, kNanoseconds, kSeconds, kBytes };

// How a person wants a member of a value shown, where that is not what its type says.
struct MemberRule {
  bool drop = false;
  std::string name;  // empty: its own
  std::string help;
  std::optional<NamedUnit> unit;
  std::optional<MetricType> type;     // counter or gauge
  std::vector<std::uint64_t> bounds;  // of a histogram, in what the program counts in; ascending
};

struct LabelRule {
  bool drop = false;
  std::string name;  // empty: its own
};

// Members and labels by their names in the map, those of nested structs joined with '_'.
struct MapRules {
  bool drop = false;
  std::string family;  // before every metric's name; empty: what the map's types say
  std::string help;    // for members without their own
  std::map<std::string, MemberRule> members;
  std::map<std::string, LabelRule> labels;
};

using RulesByMap = std::map<std::string, MapRules>;

}  // namespace nfbpf::traffic
