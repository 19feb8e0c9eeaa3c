// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

// What the exporter gives up, for good, so that whoever takes it over has little: it reads some
// files and the maps that its group may read, and answers on sockets that are open already.
namespace nfbpf::confine {

// The runtimes of sanitizers read /proc and map code at any time: what is built with one runs
// unconfined, as it is for tests.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

// USER or USER:GROUP, by name or number; without a group the user's own. With the further groups
// that the user is in.
[[nodiscard]] Result<void> become(const std::string& user_and_group);

// Root is refused unless `allowed`: what it writes and reads is not for its groups to say.
[[nodiscard]] Result<void> check_user(bool allowed);

// Sets no_new_privs, leaves memory to nobody of the same user (PR_SET_DUMPABLE), and gives up every
// capability but those that reading maps takes here, where they were: CAP_BPF where the kernel
// refuses bpf(2) without it, and, if `asks_for_types`, CAP_SYS_ADMIN, the only one to which it
// tells the types of other tools' maps.
[[nodiscard]] Result<void> drop_capabilities(bool asks_for_types = false);

// That each file can be opened by whom this process is now, without what it gave up: else it could
// not be read again, and what was read before would apply for good.
[[nodiscard]] Result<void> check_readable(const std::vector<std::filesystem::path>& files);

// The folders that reading `file` again takes: its own; and where it, or a folder on the way to it,
// is a symbolic link, the folder of what that points to, since the link may come to point to
// something else in there.
[[nodiscard]] std::vector<std::filesystem::path> folders_behind(const std::filesystem::path& file);

// Restricts this thread, and those that it starts, to reading what is below `readable`
// (landlock(7)). Of what is not there, the next folder above that is. Returns Landlock's ABI
// version, 0: this kernel has none, and nothing is restricted.
// A folder of /proc is no use: the kernel forgets it and makes another when memory is short.
[[nodiscard]] Result<int> restrict_files(const std::vector<std::filesystem::path>& readable);

// Allows all threads the system calls that serving takes, and no others (EPERM): no exec, no file
// that is opened for writing, no socket but for interface names and sd_notify, no signal to others,
// and of bpf(2) looking at maps and emptying them, and types if `asks_for_types`.
[[nodiscard]] Result<void> restrict_calls(bool asks_for_types = false);

}  // namespace nfbpf::confine
