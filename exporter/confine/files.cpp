// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/unique_fd.h"
#include "confine/confine.h"

namespace nfbpf::confine {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

// Of the kernel's uapi/linux/landlock.h; Debian 12's knows those of ABI 2.
constexpr std::uint64_t kFirst = (1ULL << 13) - 1;  // ABI 1: execute to make_sym
constexpr std::uint64_t kRefer = 1ULL << 13;        // ABI 2
constexpr std::uint64_t kTruncate = 1ULL << 14;     // ABI 3
constexpr std::uint64_t kIoctlDev = 1ULL << 15;     // ABI 5

std::uint64_t handled_by(int abi) {
  std::uint64_t handled = kFirst;
  if (abi >= 2) handled |= kRefer;
  if (abi >= 3) handled |= kTruncate;
  if (abi >= 5) handled |= kIoctlDev;
  return handled;
}

UniqueFd open_nearest(fs::path path) {
  for (;; path = path.parent_path()) {
    UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (fd || path == path.parent_path()) return fd;
  }
}

bool is_folder(const UniqueFd& fd) {
  return fs::is_directory("/proc/self/fd/" + std::to_string(fd.get()));
}

Result<void> allow(const UniqueFd& rules, const fs::path& path) {
  const UniqueFd fd = open_nearest(path);
  if (!fd) return fail_errno(errno, "open " + path.string());
  landlock_path_beneath_attr beneath{};
  std::error_code code;
  const bool folder = is_folder(fd);
  beneath.allowed_access = folder ? kRead : LANDLOCK_ACCESS_FS_READ_FILE;
  beneath.parent_fd = fd.get();
  if (::syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
    return fail_errno(errno, "landlock: allow " + path.string());
  return {};
}

}  // namespace

Result<int> restrict_files(const std::vector<fs::path>& readable) {
  const auto abi = static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
  if (abi <= 0) return 0;  // ENOSYS, or EOPNOTSUPP where it was not switched on at boot
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = handled_by(abi);
  const UniqueFd rules(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes,
                                                  sizeof(attributes.handled_access_fs), 0)));
  if (!rules) return fail_errno(errno, "landlock: make the rules");
  for (const fs::path& path : std::set<fs::path>(readable.begin(), readable.end()))
    if (auto ok = allow(rules, path); !ok) return tl::unexpected(ok.error());
  if (::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0)
    return fail_errno(errno, "landlock: apply the rules");
  return abi;
}

}  // namespace nfbpf::confine
