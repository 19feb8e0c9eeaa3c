// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "base/result.h"

namespace nfbpf::reader {

// Whether what the module shows is of the ABI that this exporter reads, by the major.minor in
// <sysfs>/module/nfbpf/version. A module that is gone or shows no version is no error here.
[[nodiscard]] Result<void> check_module_version(const std::filesystem::path& sysfs);

}  // namespace nfbpf::reader
