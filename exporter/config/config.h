// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/listen_address.h"
#include "traffic/ledger.h"
#include "traffic/map_rules.h"
#include "traffic/networks.h"

namespace nfbpf::config {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : std::uint8_t { kLogfmt, kJson };

[[nodiscard]] std::optional<LogLevel> log_level_of(std::string_view word);
[[nodiscard]] std::optional<LogFormat> log_format_of(std::string_view word);

// Defaults and, where a key of the file is checked by a function, the words for what is allowed.
inline constexpr const char* kDefaultListenAddress = ":9987";
inline constexpr const char* kDefaultTelemetryPath = "/metrics";
inline constexpr const char* kLogLevels = "debug, info, warn or error";
inline constexpr const char* kLogFormats = "logfmt or json";

// A map that another tool pinned, to be shown beside what nfbpf-load pinned.
struct PinnedMap {
  std::string name;            // of the map in rules, labels and messages; unique
  std::filesystem::path path;  // in bpffs
  std::filesystem::path btf;   // raw BTF of its types; empty: the kernel is asked
};

struct Config {
  std::filesystem::path pin_dir;  // empty: where the loader says that it pinned
  std::filesystem::path run_dir;
  std::vector<http::ListenAddress> listen_addresses;  // not empty
  std::string telemetry_path;
  bool compression = true;   // of pages, for clients that take gzip
  traffic::RulesByMap maps;  // how maps are shown, where not as their types say
  std::vector<PinnedMap> pinned_maps;
  traffic::LedgerOptions series;                 // series_limit, idle_timeout
  std::shared_ptr<traffic::Networks> networks;   // null: none
  std::filesystem::path networks_file;           // is in `networks`; empty: none
  std::map<std::string, traffic::Shown> groups;  // labels that are addresses
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kLogfmt;

  static Config defaults();
};

// Reads YAML over the defaults. Every error is one line: file:line:column, the key, the value and
// what is allowed.
[[nodiscard]] Result<Config> load(const std::filesystem::path& file);
// The same on text; `name` stands for the file in errors.
[[nodiscard]] Result<Config> parse(const std::string& text, const std::string& name);

// Every key that a file may have, dotted, e.g. "web.telemetry_path"; what is inside maps and
// pinned_maps is in config/map_rules.h.
[[nodiscard]] std::vector<std::string> known_keys();

}  // namespace nfbpf::config
