// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <abi/nfbpf.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/one_name.h"
#include "config/map_rules.h"
#include "config/nearest.h"
#include "config/networks.h"
#include "config/place.h"
#include "config/text_file.h"

namespace nfbpf::config {
namespace {

Result<void> set_directory(const Place& place, const YAML::Node& node,
                           std::filesystem::path& target) {
  const std::string allowed = "an absolute path";
  const auto text = scalar(place, node, allowed);
  if (!text) return tl::unexpected(text.error());
  if (text->front() != '/') return place.refuse("has \"" + *text + "\", allowed is " + allowed);
  target = one_name(*text);
  return {};
}

// One setting: its key, and how a node of the file becomes a value.
struct Key {
  const char* name;
  Result<void> (*apply)(const Place&, const YAML::Node&, Config&);
};

Result<void> set_listen_addresses(const Place& place, const YAML::Node& node, Config& config) {
  const std::string allowed = std::string("a list of addresses such as ") + http::kAddressesAllowed;
  if (!node.IsSequence() || node.size() == 0)
    return place.refuse("has " + kind_of(node) + ", allowed is " + allowed);
  config.listen_addresses.clear();
  for (std::size_t i = 0; i < node.size(); ++i) {
    const Place entry{place.file, place.key + "[" + std::to_string(i) + "]", node[i].Mark()};
    const auto text = scalar(entry, node[i], http::kAddressesAllowed);
    if (!text) return tl::unexpected(text.error());
    auto address = http::ListenAddress::parse(*text);
    if (!address) return entry.refuse(address.error().what);
    if (std::ranges::find(config.listen_addresses, *address) != config.listen_addresses.end())
      return entry.refuse("\"" + *text + "\" stands in the list twice");
    config.listen_addresses.push_back(std::move(*address));
  }
  return {};
}

Result<void> set_compression(const Place& place, const YAML::Node& node, Config& config) {
  const auto text = scalar(place, node, "true or false");
  if (!text) return tl::unexpected(text.error());
  if (*text != "true" && *text != "false")
    return place.refuse("has \"" + *text + "\", allowed is true or false");
  config.compression = *text == "true";
  return {};
}

traffic::Networks& networks_of(Config& config) {
  if (!config.networks) config.networks = std::make_shared<traffic::Networks>();
  return *config.networks;
}

constexpr std::uint32_t kMostSeries = 10'000'000;

Result<void> set_series_limit(const Place& place, const YAML::Node& node, Config& config) {
  const std::string allowed = "a whole number from 1 to " + std::to_string(kMostSeries);
  const auto text = scalar(place, node, allowed);
  if (!text) return tl::unexpected(text.error());
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number == 0 ||
      number > kMostSeries)
    return place.refuse("has \"" + *text + "\", allowed is " + allowed);
  config.series.series_limit = number;
  return {};
}

// Prometheus's durations of one unit; shorter ones than this would let series go that are only
// slow.
Result<void> set_idle_timeout(const Place& place, const YAML::Node& node, Config& config) {
  const std::string allowed = "a duration from 10s to 30d such as 90s, 15m, 2h or 1d";
  const auto text = scalar(place, node, allowed);
  if (!text) return tl::unexpected(text.error());
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  const std::string_view unit(end, text->data() + text->size());
  const double seconds = unit == "s"   ? 1
                         : unit == "m" ? 60
                         : unit == "h" ? 3600
                         : unit == "d" ? 86400
                                       : 0;
  config.series.idle_seconds = number * seconds;
  if (error != std::errc() || config.series.idle_seconds < 10 ||
      config.series.idle_seconds > 30 * 86400.0)
    return place.refuse("has \"" + *text + "\", allowed is " + allowed);
  return {};
}

Result<void> set_telemetry_path(const Place& place, const YAML::Node& node, Config& config) {
  const auto text = scalar(place, node, "a path such as /metrics");
  if (!text) return tl::unexpected(text.error());
  if (auto ok = http::check_telemetry_path(*text); !ok) return place.refuse(ok.error().what);
  config.telemetry_path = *text;
  return {};
}

Result<void> set_networks_file(const Place& place, const YAML::Node& node, Config& config) {
  if (auto ok = read_networks_file(place, node, networks_of(config)); !ok) return ok;
  config.networks_file = node.Scalar();
  return {};
}

constexpr std::array<Key, 14> kKeys = {{
    {"pin_dir",
     [](const Place& p, const YAML::Node& n, Config& c) { return set_directory(p, n, c.pin_dir); }},
    {"run_dir",
     [](const Place& p, const YAML::Node& n, Config& c) { return set_directory(p, n, c.run_dir); }},
    {"maps",
     [](const Place& p, const YAML::Node& n, Config& c) { return read_map_rules(p, n, c.maps); }},
    {"pinned_maps", [](const Place& p, const YAML::Node& n,
                       Config& c) { return read_pinned_maps(p, n, c.pinned_maps); }},
    {"series_limit", set_series_limit},
    {"idle_timeout", set_idle_timeout},
    {"networks", [](const Place& p, const YAML::Node& n,
                    Config& c) { return read_networks(p, n, networks_of(c)); }},
    {"networks_file", set_networks_file},
    {"groups",
     [](const Place& p, const YAML::Node& n, Config& c) { return read_groups(p, n, c.groups); }},
    {"web.listen_addresses", set_listen_addresses},
    {"web.telemetry_path", set_telemetry_path},
    {"web.compression", set_compression},
    {"log.level", [](const Place& p, const YAML::Node& n,
                     Config& c) { return set_word(p, n, kLogLevels, log_level_of, c.log_level); }},
    {"log.format",
     [](const Place& p, const YAML::Node& n, Config& c) {
       return set_word(p, n, kLogFormats, log_format_of, c.log_format);
     }},
}};

bool is_section(const std::string& path) {
  return std::ranges::any_of(
      kKeys, [&](const Key& key) { return std::string_view(key.name).starts_with(path + "."); });
}

tl::unexpected<Error> refuse_unknown(const Place& place) {
  auto known = known_keys();
  for (const Key& key : kKeys) {
    const std::string_view name = key.name;
    if (const auto dot = name.find('.'); dot != std::string_view::npos)
      known.emplace_back(name.substr(0, dot));
  }
  const auto meant = nearest(place.key, known);
  std::string what = "is no key of this file";
  if (meant) return place.refuse(what + "; did you mean " + *meant + "?");
  what += "; known are";
  for (const Key& key : kKeys)
    what += std::string(key.name == kKeys[0].name ? " " : ", ") + key.name;
  return place.refuse(what);
}

Result<void> apply_map(const std::string& file, const YAML::Node& map, const std::string& prefix,
                       Config& config);

Result<void> apply_entry(const Place& place, const YAML::Node& value, Config& config) {
  const auto key = std::ranges::find_if(kKeys, [&](const Key& k) { return place.key == k.name; });
  const Place at = place.of_value(value);
  if (key != kKeys.end()) return key->apply(at, value, config);
  if (!is_section(place.key)) return refuse_unknown(place);
  if (!value.IsMap()) return at.refuse("has " + kind_of(value) + ", allowed is a mapping");
  return apply_map(place.file, value, place.key, config);
}

Result<void> apply_map(const std::string& file, const YAML::Node& map, const std::string& prefix,
                       Config& config) {
  return for_each_entry({file, prefix, map.Mark()}, map,
                        [&](const Place& place, const std::string&, const YAML::Node& value) {
                          return apply_entry(place, value, config);
                        });
}

Result<Config> config_of(const YAML::Node& root, const std::string& name) {
  Config config = Config::defaults();
  if (root.IsNull()) return config;  // an empty file: all defaults
  if (!root.IsMap())
    return Place{name, "", root.Mark()}.refuse("has " + kind_of(root) +
                                               ", allowed is a mapping of keys");
  if (auto ok = apply_map(name, root, "", config); !ok) return tl::unexpected(ok.error());
  if (config.networks) config.networks->finish();
  return config;
}

}  // namespace

std::optional<LogLevel> log_level_of(std::string_view word) {
  if (word == "debug") return LogLevel::kDebug;
  if (word == "info") return LogLevel::kInfo;
  if (word == "warn") return LogLevel::kWarn;
  if (word == "error") return LogLevel::kError;
  return std::nullopt;
}

std::optional<LogFormat> log_format_of(std::string_view word) {
  if (word == "logfmt") return LogFormat::kLogfmt;
  if (word == "json") return LogFormat::kJson;
  return std::nullopt;
}

Config Config::defaults() {
  Config config;
  config.run_dir = NFBPF_RUN_DIR_DEFAULT;
  config.listen_addresses = {{http::ListenAddress::Family::kAny, "", 9987}};
  config.telemetry_path = kDefaultTelemetryPath;
  return config;
}

std::vector<std::string> known_keys() {
  std::vector<std::string> keys;
  keys.reserve(kKeys.size());
  for (const Key& key : kKeys) keys.emplace_back(key.name);
  return keys;
}

Result<Config> parse(const std::string& text, const std::string& name) {
  const auto root = parse_yaml(text, name);
  if (!root) return tl::unexpected(root.error());
  // What a node of an odd kind is asked for may be an exception, too.
  try {
    return config_of(*root, name);
  } catch (const YAML::Exception& e) {
    return Place{name, "", e.mark}.refuse("is not YAML: " + e.msg);
  }
}

Result<Config> load(const std::filesystem::path& file) {
  const auto text = read_text_file(file, "the configuration");
  if (!text) return tl::unexpected(text.error());
  return parse(*text, file.string());
}

}  // namespace nfbpf::config
