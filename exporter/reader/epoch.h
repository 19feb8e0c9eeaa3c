// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "base/result.h"

namespace nfbpf::reader {

// Which of its two buffers a program counts into (abi/nfbpf.h), and how to change that. Behind it a
// test needs no kernel.
class Epoch {
 public:
  Epoch() = default;
  Epoch(const Epoch&) = delete;
  Epoch& operator=(const Epoch&) = delete;
  virtual ~Epoch() = default;

  [[nodiscard]] virtual std::uint32_t active() const = 0;  // 0 or 1
  // From now on the other buffer is counted into.
  virtual void turn() = 0;
  // Returns when no packet counts any more into the buffer that was active before turn().
  [[nodiscard]] virtual Result<void> wait() = 0;
  // Rows that the program made in a buffer, of all its tables, since they were forgotten.
  [[nodiscard]] virtual std::uint64_t made(std::uint32_t buffer) const = 0;
  virtual void forget_made(std::uint32_t buffer) = 0;
};

// That of the program that nfbpf-load pinned in `pin_dir`.
[[nodiscard]] Result<std::unique_ptr<Epoch>> open_epoch(const std::filesystem::path& pin_dir);

}  // namespace nfbpf::reader
