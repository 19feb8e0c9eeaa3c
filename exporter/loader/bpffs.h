// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "loader/undo.h"

namespace nfbpf::loader {

// Who may read what is pinned: the group's members, besides root. Empty: root alone.
struct Readers {
  std::optional<gid_t> group;
};

// Group name or number -> gid. An unknown name is an error that says how to make it.
[[nodiscard]] Result<gid_t> group_id(const std::string& name);

// Refuses a `pin_dir` that is a bpffs's root: it is everybody's, and we change modes and remove.
[[nodiscard]] Result<void> check_pin_dir(const std::filesystem::path& pin_dir);

// Makes `pin_dir` (which must lie in a bpffs) and its sub-folders, so that `readers` can pass
// through; for a group, everybody may then search the folders above, up to the bpffs's root.
// Folders that this call made are removed by `undo`.
[[nodiscard]] Result<void> make_pin_dirs(const std::filesystem::path& pin_dir,
                                         const Readers& readers, Undo& undo);

// A file or pin: mode 0440 for the readers, 0400 without a group.
[[nodiscard]] Result<void> let_read(const std::filesystem::path& path, const Readers& readers);
// The same for one that the exporter writes too: 0660, 0600 without a group.
[[nodiscard]] Result<void> let_write(const std::filesystem::path& path, const Readers& readers);
// A folder: 0750 or 0700.
[[nodiscard]] Result<void> let_pass(const std::filesystem::path& path, const Readers& readers);

// Ends the name of a pin that is there only while two are exchanged.
inline constexpr const char* kAsideSuffix = "_aside";

// Exchanges two pins, in one step where the kernel can, so that there is something under each name
// at any time.
[[nodiscard]] Result<void> exchange_pins(const std::filesystem::path& a,
                                         const std::filesystem::path& b);

// Removes the empty folders of `pin_dir`; what others put there stays, and so does its folder.
void remove_pin_dirs(const std::filesystem::path& pin_dir);

}  // namespace nfbpf::loader
