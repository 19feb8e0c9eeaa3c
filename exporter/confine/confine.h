// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

// What the exporter gives up, for good, so that whoever takes it over has little: it reads some
// files and the maps that its group may read, and answers on sockets that are open already.
namespace nfbpf::confine {

// USER or USER:GROUP, by name or number; without a group the user's own.
[[nodiscard]] Result<void> become(const std::string& user_and_group);

// Root is refused unless `allowed`: what it writes and reads is not for its groups to say.
[[nodiscard]] Result<void> check_user(bool allowed);

// Sets no_new_privs and gives up every capability, unless they are to stay: the kernel tells the
// types of other tools' maps to CAP_SYS_ADMIN alone. On Linux before 5.19, which gives maps to
// nobody else, CAP_BPF is kept where it was.
[[nodiscard]] Result<void> drop_capabilities(bool keep_all = false);

// Restricts this thread, and those that it starts, to reading what is below `readable`
// (landlock(7)). Of what is not there, the next folder above that is. Returns Landlock's ABI
// version, 0: this kernel has none, and nothing is restricted.
[[nodiscard]] Result<int> restrict_files(const std::vector<std::filesystem::path>& readable);

// Allows all threads the system calls that serving takes, and no others (EPERM): no exec, no file
// that is opened for writing, no socket but for interface names and sd_notify, and of bpf(2)
// looking at maps and emptying them.
[[nodiscard]] Result<void> restrict_calls();

}  // namespace nfbpf::confine
