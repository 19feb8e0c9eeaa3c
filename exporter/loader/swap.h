// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "base/result.h"
#include "loader/manifest.h"

namespace nfbpf::loader {

// Pins in pin_dir that are there only while a swap runs, or after one that was killed.
inline constexpr const char* kPinNext = "program_next";
inline constexpr const char* kPinAside = "program_aside";
inline constexpr const char* kPinSpare = "program_spare";  // made room for another in tidy_up()

struct SwapOptions {
  std::filesystem::path file;  // a *.bpf.o with a program in SEC("socket")
  std::filesystem::path pin_dir, run_dir;
  bool drop_members = false;  // of old values that the new program's lack
};

// Replaces the program that the module runs, while it runs. The new one uses the pinned maps of the
// same names, so counters go on. Where the value has other members, a new map takes the pin and the
// old rows are moved into it, member by member; readers see the old map until that is done. Another
// key, and a value that lacks a member, is refused by its name. Every packet is counted by the old
// or by the new program. The old one stays pinned for rollback(), unless rows were moved: it would
// go on with the old maps. After an error the old program runs on, and pins and manifest are as
// they were.
[[nodiscard]] Result<Manifest> swap(const SwapOptions& options);

// Changes back to the program before the last swap; a second rollback undoes the first.
[[nodiscard]] Result<Manifest> rollback(const SwapOptions& options);

}  // namespace nfbpf::loader
