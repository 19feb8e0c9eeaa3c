// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "top.h"

namespace nfbpf {

// What the command line and the configuration file come to; flags win over the file.
struct Settings {
  config::Config config;
  std::filesystem::path sysfs = "/sys";
  std::filesystem::path procfs = "/proc";
  bool cardinality = false;               // print that and end
  std::string check_path;                 // ask one that runs for this, and end
  std::filesystem::path web_config_file;  // empty: no TLS and no users
  unsigned max_requests = 40;             // 0: no limit
  bool process_metrics = true;            // of the exporter itself
  bool lifecycle = false;                 // POST /-/reload
  std::string run_as;                     // USER[:GROUP]; empty: as we are
  bool allow_root = false;
  bool sandbox = true;
  // The files that are read again while it runs.
  std::vector<std::filesystem::path> read_again;
};

// Settings to run with, or what top is to do, or that the command line has been answered (--help,
// --version,
// --config.check) and the process ends with this status.
struct CommandLine {
  std::optional<Settings> settings;
  std::optional<TopOptions> top;  // nfbpf_exporter top
  int exit_status = 0;
};

// `version` is the text of --version. Answers go to stdout; an error is for the caller to print.
[[nodiscard]] Result<CommandLine> read_command_line(int argc, const char* const* argv,
                                                    const std::string& version);

}  // namespace nfbpf
