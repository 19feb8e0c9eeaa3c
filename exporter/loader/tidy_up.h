// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "base/result.h"

namespace nfbpf::loader {

// After a swap or rollback that was killed: where the module had taken the program, the rest is
// done; where it had not, all is as it was. That is, each program that is kept is at its name, any
// other is let go; rows that were on their way into a map that the running program counts into go
// the rest of it, and that map gets its name; the manifest tells of what runs. Where there was no
// such swap nothing happens. It may be killed, too. To be called under the RunLock.
[[nodiscard]] Result<void> tidy_up(const std::filesystem::path& pin_dir,
                                   const std::filesystem::path& run_dir);

// Whether the program that is pinned there uses the map that is. No pin uses nothing and is used by
// nothing; any other failure is an error, because "cannot tell" is no "does not".
[[nodiscard]] Result<bool> program_uses(const std::filesystem::path& program_pin,
                                        const std::filesystem::path& map_pin);

}  // namespace nfbpf::loader
