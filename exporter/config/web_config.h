// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "http/web_config.h"

namespace nfbpf::config {

// Prometheus' web configuration, the format of exporter-toolkit's docs/web-configuration.md; what
// we do not support is refused by name. Relative paths are relative to the file's folder. Does not
// open the files that it names.
[[nodiscard]] Result<http::WebConfig> load_web_config(const std::filesystem::path& file);
// The same on text; `name` stands for the file in errors.
[[nodiscard]] Result<http::WebConfig> parse_web_config(const std::string& text,
                                                       const std::filesystem::path& name);

}  // namespace nfbpf::config
