// SPDX-License-Identifier: Apache-2.0
#include "loader/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace nfbpf::loader {

namespace fs = std::filesystem;
namespace {

// Whoever held the lock before us may have removed the directory: then it locks nothing.
bool is_still_there(int dir, const fs::path& run_dir) {
  struct stat ours {};
  struct stat now {};
  return ::fstat(dir, &ours) == 0 && ::stat(run_dir.c_str(), &now) == 0 &&
         ours.st_ino == now.st_ino && ours.st_dev == now.st_dev;
}

}  // namespace

RunLock::~RunLock() {
  if (!made_.empty()) ::rmdir(made_.c_str());
}

Result<RunLock> RunLock::make_and_take(const fs::path& run_dir) {
  for (;;) {
    std::error_code ec;
    const bool made = fs::create_directories(run_dir, ec);
    if (ec) return fail_errno(ec.value(), "make " + run_dir.string());
    auto lock = take(run_dir);
    if (!lock) return lock;
    if (!lock->dir_) continue;  // removed between the two
    if (made) lock->made_ = run_dir;
    return lock;
  }
}

Result<RunLock> RunLock::take(const fs::path& run_dir) {
  constexpr auto kWait = std::chrono::seconds(30);
  constexpr auto kPause = std::chrono::milliseconds(20);
  RunLock lock;
  lock.dir_.reset(::open(run_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock.dir_) {
    if (errno == ENOENT) return lock;
    return fail_errno(errno, "open " + run_dir.string());
  }
  const auto end = std::chrono::steady_clock::now() + kWait;
  while (::flock(lock.dir_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return fail_errno(errno, "lock " + run_dir.string());
    }
    if (std::chrono::steady_clock::now() > end) {
      return fail("another process has held the lock of " + run_dir.string() + " for " +
                  std::to_string(kWait.count()) +
                  " s (an nfbpf-load that hangs, or an exporter that is stopped): see fuser " +
                  run_dir.string());
    }
    std::this_thread::sleep_for(kPause);
  }
  if (!is_still_there(lock.dir_.get(), run_dir)) return take(run_dir);
  return lock;
}

}  // namespace nfbpf::loader
