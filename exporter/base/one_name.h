// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace nfbpf {

// "/a/b/", "b" and "/a/./b" are one folder: all who speak of it know it by one name, whose parent
// path is the folder above.
[[nodiscard]] inline std::filesystem::path one_name(const std::filesystem::path& dir) {
  const auto path = std::filesystem::absolute(dir).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

}  // namespace nfbpf
