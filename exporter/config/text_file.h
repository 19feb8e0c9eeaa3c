// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace nfbpf::config {

// A configuration is a few KB; a file of more than that was named by mistake.
inline constexpr std::uintmax_t kMostConfigBytes = std::uintmax_t{16} << 20U;

// All of a file; `what` it is stands in the error.
[[nodiscard]] Result<std::string> read_text_file(const std::filesystem::path& file,
                                                 const std::string& what);

}  // namespace nfbpf::config
