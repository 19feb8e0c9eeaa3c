// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "base/result.h"
#include "traffic/table.h"

namespace nfbpf::reader {

// The module's own totals, <sysfs>/module/nfbpf/hooks/<family>_<hook>/{packets,bytes,matched}, as a
// table of family nfbpf_hook with labels family and hook. No module: an error with code ENOENT.
[[nodiscard]] Result<traffic::Table> read_hook_totals(const std::filesystem::path& sysfs);

}  // namespace nfbpf::reader
