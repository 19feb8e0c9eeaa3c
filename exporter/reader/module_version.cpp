// SPDX-License-Identifier: Apache-2.0
#include "reader/module_version.h"

#include <abi/nfbpf.h>

#include <charconv>
#include <fstream>
#include <optional>
#include <string>

namespace nfbpf::reader {
namespace {

std::optional<unsigned> major_of(const std::string& version) {
  unsigned major = 0;
  const char* end = version.data() + version.size();
  const auto [dot, code] = std::from_chars(version.data(), end, major);
  if (code != std::errc{} || dot == end || *dot != '.') return std::nullopt;
  return major;
}

}  // namespace

Result<void> check_module_version(const std::filesystem::path& sysfs) {
  const auto path = sysfs / "module/nfbpf/version";
  std::ifstream file(path);
  std::string version;
  if (!file || !std::getline(file, version)) return {};
  const auto major = major_of(version);
  if (!major) return fail(path.string() + ": \"" + version + "\" is not a major.minor");
  if (*major == NFBPF_ABI_MAJOR) return {};
  return fail(path.string() + ": the module has ABI major " + std::to_string(*major) +
              ", this exporter reads ABI major " + std::to_string(NFBPF_ABI_MAJOR) +
              "; load again with the nfbpf-load of this version");
}

}  // namespace nfbpf::reader
