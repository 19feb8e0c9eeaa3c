// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/result.h"
#include "loader/bpffs.h"
#include "loader/undo.h"

namespace nfbpf::loader {

inline constexpr std::uint32_t kSeriesBytesDefault = 16U << 20;

// What the exporter keeps in the kernel so that it outlives the exporter, and what it waits with:
//   series       an array of `series_bytes` in all, to be mapped: what its series stand at
//   fence        a map of maps with one place. The kernel returns from an update of it when every
//                program that was running has ended (maybe_wait_bpf_programs of
//                kernel/bpf/syscall.c), which is how one without privilege waits for that
//   fence_post   the map that stands there
// All are made in `pin_dir`, writable for the readers; one that is there is kept.
[[nodiscard]] Result<void> make_series_pins(const std::filesystem::path& pin_dir,
                                            std::optional<std::uint32_t> series_bytes,
                                            const Readers& readers, Undo& undo);

// Removes the fence; and the series unless `keep_series`.
void remove_series_pins(const std::filesystem::path& pin_dir, bool keep_series);

}  // namespace nfbpf::loader
