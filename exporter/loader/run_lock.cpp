// SPDX-License-Identifier: Apache-2.0
#include "loader/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace nfbpf::loader {

Result<RunLock> RunLock::take(const std::filesystem::path& run_dir) {
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
  return lock;
}

}  // namespace nfbpf::loader
