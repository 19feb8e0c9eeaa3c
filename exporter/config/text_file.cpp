// SPDX-License-Identifier: Apache-2.0
#include "config/text_file.h"

#include <cerrno>
#include <fstream>
#include <sstream>

namespace nfbpf::config {

Result<std::string> read_text_file(const std::filesystem::path& file, const std::string& what) {
  std::error_code code;
  if (std::filesystem::is_directory(file, code))
    return fail(file.string() + ": is a directory; name a YAML file");
  errno = 0;
  const std::ifstream in(file);
  if (!in) return fail_errno(errno, file.string() + ": cannot read " + what);
  const auto size = std::filesystem::file_size(file, code);
  if (!code && size > kMostConfigBytes)
    return fail(file.string() + ": has " + std::to_string(size) + " bytes, at most " +
                std::to_string(kMostConfigBytes) + " are read");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace nfbpf::config
