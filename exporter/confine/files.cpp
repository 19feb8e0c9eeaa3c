// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <functional>
#include <set>
#include <string>

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
  struct stat status {};
  return ::fstat(fd.get(), &status) == 0 && S_ISDIR(status.st_mode);
}

Result<void> allow(const UniqueFd& rules, const fs::path& path) {
  const UniqueFd fd = open_nearest(path);
  if (!fd) return fail_errno(errno, "open " + path.string());
  landlock_path_beneath_attr beneath{};
  const bool folder = is_folder(fd);
  beneath.allowed_access = folder ? kRead : LANDLOCK_ACCESS_FS_READ_FILE;
  beneath.parent_fd = fd.get();
  if (::syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
    return fail_errno(errno, "landlock: allow " + path.string());
  return {};
}

// What the path leads through, one name after another, in `on_link` each symbolic link that is met
// with the path that it points to. As path_resolution(7): not by lexical rules, since "x/.." may be
// elsewhere than here where x is a link.
constexpr int kMostLinks = 40;

void walk(fs::path path, const std::function<void(const fs::path& target)>& on_link) {
  fs::path done = path.root_path();
  std::deque<fs::path> left;
  const auto to_do_first = [&left](const fs::path& relative) {
    left.insert(left.begin(), relative.begin(), relative.end());
  };
  to_do_first(path.relative_path());
  for (int links = 0; !left.empty() && links < kMostLinks;) {
    const fs::path name = left.front();
    left.pop_front();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      done = done.parent_path();
      continue;
    }
    std::error_code none;
    const fs::path target = fs::read_symlink(done / name, none);
    if (none) {
      done /= name;
      continue;
    }
    ++links;
    on_link(done / target);
    if (target.is_absolute()) done = target.root_path();
    to_do_first(target.relative_path());
  }
}

}  // namespace

std::vector<fs::path> folders_behind(const fs::path& file) {
  const fs::path absolute = fs::absolute(file);
  std::vector<fs::path> folders{absolute.parent_path()};
  walk(absolute, [&folders](const fs::path& target) {
    // All of the file system is no folder to allow: then what is there now must do.
    const fs::path above = target.parent_path().lexically_normal();
    folders.push_back(above == above.root_path() ? target : target.parent_path());
  });
  return folders;
}

Result<void> check_readable(const std::vector<fs::path>& files) {
  for (const fs::path& file : files) {
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd) continue;
    const int error = errno;
    std::string what = file.string() + ": uid " + std::to_string(::geteuid()) + " and gid " +
                       std::to_string(::getegid()) + " serve, and cannot open it to read it again";
    auto refused = fail_errno(error, what);
    if (error == EACCES)
      refused.value().what += "; let them read it and enter each folder on the way";
    return refused;
  }
  return {};
}

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
