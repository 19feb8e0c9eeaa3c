// SPDX-License-Identifier: Apache-2.0
#include "config/map_rules.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "config/place.h"

namespace nfbpf::config {
namespace {

using traffic::LabelRule;
using traffic::MapRules;
using traffic::MemberRule;

// One key of a rule, and how a node of the file becomes a value of it.
template <typename Rule>
struct RuleKey {
  const char* name;
  Result<void> (*apply)(const Place&, const YAML::Node&, Rule&);
};

template <typename Rule, std::size_t N>
Result<void> read_rule(const Place& place, const YAML::Node& node,
                       const std::array<RuleKey<Rule>, N>& keys, Rule& rule) {
  if (!node.IsMap()) return place.refuse("has " + kind_of(node) + ", allowed is a mapping");
  return for_each_entry(place, node,
                        [&](const Place& at, const std::string& word, const YAML::Node& value) {
                          for (const auto& key : keys)
                            if (word == key.name) return key.apply(at.of_value(value), value, rule);
                          std::vector<std::string> known;
                          for (const auto& key : keys) known.emplace_back(key.name);
                          return Result<void>(refuse_key(at, word, known));
                        });
}

Result<void> set_flag(const Place& place, const YAML::Node& node, bool& target) {
  const auto of = [](std::string_view word) -> std::optional<bool> {
    if (word == "true") return true;
    if (word == "false") return false;
    return std::nullopt;
  };
  return set_word<bool>(place, node, "true or false", of, target);
}

// The letters that labels and metrics have in common.
bool is_name(const std::string& text) {
  const auto word = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
  return !text.empty() && std::isdigit(static_cast<unsigned char>(text[0])) == 0 &&
         std::ranges::all_of(text, word);
}

Result<void> set_name(const Place& place, const YAML::Node& node, std::string& target) {
  const std::string allowed = "a name of letters, digits and _ that begins with no digit";
  const auto text = scalar(place, node, allowed);
  if (!text) return tl::unexpected(text.error());
  if (!is_name(*text)) return place.refuse("has \"" + *text + "\", allowed is " + allowed);
  target = *text;
  return {};
}

// Prometheus keeps names with two underscores in front for itself.
Result<void> set_label_name(const Place& place, const YAML::Node& node, std::string& target) {
  if (auto ok = set_name(place, node, target); !ok) return ok;
  if (target.starts_with("__"))
    return place.refuse("has \"" + target + "\", allowed is a name that does not begin with __");
  return {};
}

Result<void> set_text(const Place& place, const YAML::Node& node, std::string& target) {
  const auto text = scalar(place, node, "a text");
  if (!text) return tl::unexpected(text.error());
  target = *text;
  return {};
}

Result<void> set_path(const Place& place, const YAML::Node& node, std::filesystem::path& target) {
  const auto text = scalar(place, node, "an absolute path");
  if (!text) return tl::unexpected(text.error());
  if (text->front() != '/')
    return place.refuse("has \"" + *text + "\", allowed is an absolute path");
  target = *text;
  return {};
}

Result<void> set_bounds(const Place& place, const YAML::Node& node, MemberRule& rule) {
  const std::string allowed = "a list of whole numbers, ascending";
  if (!node.IsSequence() || node.size() == 0)
    return place.refuse("has " + kind_of(node) + ", allowed is " + allowed);
  for (std::size_t i = 0; i < node.size(); ++i) {
    const Place entry{place.file, place.key + "[" + std::to_string(i) + "]", node[i].Mark()};
    const auto text = scalar(entry, node[i], "a whole number");
    if (!text) return tl::unexpected(text.error());
    std::uint64_t bound = 0;
    const auto [end, code] = std::from_chars(text->data(), text->data() + text->size(), bound);
    if (code != std::errc{} || end != text->data() + text->size())
      return entry.refuse("has \"" + *text + "\", allowed is a whole number");
    if (!rule.bounds.empty() && bound <= rule.bounds.back())
      return entry.refuse("has " + *text + " after " + std::to_string(rule.bounds.back()) +
                          "; bounds ascend");
    rule.bounds.push_back(bound);
  }
  return {};
}

constexpr std::array<RuleKey<MemberRule>, 6> kMemberKeys = {{
    {"rename",
     [](const Place& p, const YAML::Node& n, MemberRule& r) { return set_name(p, n, r.name); }},
    {"drop",
     [](const Place& p, const YAML::Node& n, MemberRule& r) { return set_flag(p, n, r.drop); }},
    {"help",
     [](const Place& p, const YAML::Node& n, MemberRule& r) { return set_text(p, n, r.help); }},
    {"unit", [](const Place& p, const YAML::Node& n,
                MemberRule& r) { return set_word(p, n, kUnits, unit_of, r.unit.emplace()); }},
    {"type", [](const Place& p, const YAML::Node& n,
                MemberRule& r) { return set_word(p, n, kTypes, type_of, r.type.emplace()); }},
    {"bounds", set_bounds},
}};

constexpr std::array<RuleKey<LabelRule>, 2> kLabelKeys = {{
    {"rename", [](const Place& p, const YAML::Node& n,
                  LabelRule& r) { return set_label_name(p, n, r.name); }},
    {"drop",
     [](const Place& p, const YAML::Node& n, LabelRule& r) { return set_flag(p, n, r.drop); }},
}};

// A mapping of names to rules.
template <typename Rule, std::size_t N>
Result<void> read_rules(const Place& place, const YAML::Node& node,
                        const std::array<RuleKey<Rule>, N>& keys,
                        std::map<std::string, Rule>& rules) {
  if (!node.IsMap())
    return place.refuse("has " + kind_of(node) + ", allowed is a mapping of names");
  return for_each_entry(place, node,
                        [&](const Place& at, const std::string& name, const YAML::Node& value) {
                          return read_rule(at.of_value(value), value, keys, rules[name]);
                        });
}

constexpr std::array<RuleKey<MapRules>, 5> kMapKeys = {{
    {"drop",
     [](const Place& p, const YAML::Node& n, MapRules& r) { return set_flag(p, n, r.drop); }},
    {"family",
     [](const Place& p, const YAML::Node& n, MapRules& r) { return set_name(p, n, r.family); }},
    {"help",
     [](const Place& p, const YAML::Node& n, MapRules& r) { return set_text(p, n, r.help); }},
    {"members", [](const Place& p, const YAML::Node& n,
                   MapRules& r) { return read_rules(p, n, kMemberKeys, r.members); }},
    {"labels", [](const Place& p, const YAML::Node& n,
                  MapRules& r) { return read_rules(p, n, kLabelKeys, r.labels); }},
}};

constexpr std::array<RuleKey<PinnedMap>, 3> kPinnedKeys = {{
    {"path",
     [](const Place& p, const YAML::Node& n, PinnedMap& m) { return set_path(p, n, m.path); }},
    {"name",
     [](const Place& p, const YAML::Node& n, PinnedMap& m) { return set_name(p, n, m.name); }},
    {"btf",
     [](const Place& p, const YAML::Node& n, PinnedMap& m) { return set_path(p, n, m.btf); }},
}};

Result<PinnedMap> read_pinned_map(const Place& place, const YAML::Node& node) {
  PinnedMap map;
  if (auto ok = read_rule(place, node, kPinnedKeys, map); !ok) return tl::unexpected(ok.error());
  if (map.path.empty()) return place.refuse("has no path, which names the pin");
  if (map.name.empty()) map.name = map.path.filename();
  if (!is_name(map.name))
    return place.refuse("\"" + map.name +
                        "\" can be no part of a metric's name; give the map another with name");
  return map;
}

template <typename Rule, std::size_t N>
std::vector<std::string> names_of(const std::array<RuleKey<Rule>, N>& keys) {
  std::vector<std::string> names;
  for (const auto& key : keys) names.emplace_back(key.name);
  return names;
}

}  // namespace

std::optional<traffic::NamedUnit> unit_of(std::string_view word) {
  if (word == "none") return traffic::NamedUnit::kNone;
  if (word == "nanoseconds") return traffic::NamedUnit::kNanoseconds;
  if (word == "seconds") return traffic::NamedUnit::kSeconds;
  if (word == "bytes") return traffic::NamedUnit::kBytes;
  return std::nullopt;
}

std::optional<traffic::MetricType> type_of(std::string_view word) {
  if (word == "counter") return traffic::MetricType::kCounter;
  if (word == "gauge") return traffic::MetricType::kGauge;
  return std::nullopt;
}

RuleKeys rule_keys() {
  return {names_of(kMapKeys), names_of(kMemberKeys), names_of(kLabelKeys), names_of(kPinnedKeys)};
}

Result<void> read_map_rules(const Place& place, const YAML::Node& node,
                            traffic::RulesByMap& rules) {
  return read_rules(place, node, kMapKeys, rules);
}

Result<void> read_pinned_maps(const Place& place, const YAML::Node& node,
                              std::vector<PinnedMap>& maps) {
  if (!node.IsSequence())
    return place.refuse("has " + kind_of(node) + ", allowed is a list of pins");
  for (std::size_t i = 0; i < node.size(); ++i) {
    const Place entry{place.file, place.key + "[" + std::to_string(i) + "]", node[i].Mark()};
    auto map = read_pinned_map(entry, node[i]);
    if (!map) return tl::unexpected(map.error());
    if (std::ranges::find(maps, map->name, &PinnedMap::name) != maps.end())
      return entry.refuse("is the second map named " + map->name +
                          "; give one of them another with name");
    maps.push_back(std::move(*map));
  }
  return {};
}

}  // namespace nfbpf::config
