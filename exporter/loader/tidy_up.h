// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "base/result.h"

namespace nfbpf::loader {

// After a swap that was killed: the program that runs goes back to its name, any other is let go;
// rows that were on their way into a map that it counts into go the rest of it, and that map gets
// its name. Where there was no such swap nothing happens. To be called under the RunLock.
[[nodiscard]] Result<void> tidy_up(const std::filesystem::path& pin_dir);

// Whether the program that is pinned there uses the map that is.
[[nodiscard]] bool program_uses(const std::filesystem::path& program_pin,
                                const std::filesystem::path& map_pin);

}  // namespace nfbpf::loader
