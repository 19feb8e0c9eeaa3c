// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <utility>

#include "base/result.h"

namespace nfbpf::reader {

// The values of a pinned array, mapped into our memory: what is written there is in the kernel
// at once, outlives us, and is not there after a reboot. The pin must be writable for us and the
// map made with BPF_F_MMAPABLE.
class PinMemory {
 public:
  static Result<PinMemory> map(const std::filesystem::path& pin);
  // The same of a file in memory, for tests.
  static Result<PinMemory> map_file(int fd, std::size_t bytes);

  PinMemory(PinMemory&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  PinMemory& operator=(PinMemory&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  PinMemory(const PinMemory&) = delete;
  PinMemory& operator=(const PinMemory&) = delete;
  ~PinMemory();

  // One value behind the other, aligned to a page.
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

 private:
  explicit PinMemory(std::span<std::byte> bytes) : bytes_(bytes) {}
  std::span<std::byte> bytes_;
};

}  // namespace nfbpf::reader
