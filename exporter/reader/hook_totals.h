// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "traffic/table.h"

namespace nfbpf::reader {

// The module's own totals, <sysfs>/module/nfbpf/hooks/<family>_<hook>/{packets,bytes,matched}, as a
// table of family nfbpf_hook with labels family and hook. No module: an error with code ENOENT.
[[nodiscard]] Result<traffic::Table> read_hook_totals(const std::filesystem::path& sysfs);

// When the module began to count, seconds since the machine started (CLOCK_BOOTTIME); nothing when
// it is not there, or is of a release that does not say.
[[nodiscard]] std::optional<double> hooks_since(const std::filesystem::path& sysfs);

// Totals, and since when the module counts that they are of. Nothing there: it does not say, cannot
// be asked now, or changed with each try.
struct ModuleTotals {
  traffic::Table table;
  std::optional<double> since;
};
[[nodiscard]] Result<ModuleTotals> read_module_totals(const std::filesystem::path& sysfs);

// The id of the program that the module runs; nothing when it is not there.
[[nodiscard]] std::optional<std::string> running_program(const std::filesystem::path& sysfs);

}  // namespace nfbpf::reader
