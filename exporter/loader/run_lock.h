// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace nfbpf::loader {

// Keeps the exporter from emptying a buffer while programs and maps change: the program that comes
// may count into the very buffer that it believes to have to itself. It holds a lock of the run
// directory (flock(2)) for as long as that takes, which is less than a second; so do we, until this
// goes out of scope. Without such a directory there is no exporter to wait for.
class RunLock {
 public:
  static Result<RunLock> take(const std::filesystem::path& run_dir);
  // Makes the directory where there is none, so that two who attach at once meet at the lock. It is
  // removed with us if nothing was put into it.
  static Result<RunLock> make_and_take(const std::filesystem::path& run_dir);

  RunLock(RunLock&& other) noexcept
      : dir_(std::move(other.dir_)), made_(std::exchange(other.made_, {})) {}
  RunLock& operator=(RunLock&&) = delete;
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;
  ~RunLock();

 private:
  RunLock() = default;
  UniqueFd dir_;
  std::filesystem::path made_;  // empty: it was there
};

}  // namespace nfbpf::loader
