// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"

namespace nfbpf::traffic {

// Bytes that are replaced as a whole, in memory that outlives who writes it: there are two copies,
// and one store of eight bytes says which of them counts. Whoever is killed between any two stores
// leaves the old bytes or the new ones.
class StateStore {
 public:
  // `memory` is aligned to 8 bytes, and all 0 before the first save.
  explicit StateStore(std::span<std::byte> memory) : memory_(memory) {}

  struct Saved {
    std::uint64_t note = 0;  // the caller's, part of what is replaced at once
    std::vector<std::byte> bytes;
  };
  // Nothing, when nothing was saved. Memory that holds anything else is an error.
  [[nodiscard]] Result<std::optional<Saved>> load() const;
  [[nodiscard]] Result<void> save(std::uint64_t note, std::span<const std::byte> bytes);

  // Bytes that fit.
  [[nodiscard]] std::size_t capacity() const;

 private:
  struct Head;      // of the memory
  struct CopyHead;  // of each copy
  [[nodiscard]] std::span<std::byte> copy(std::uint64_t number) const;

  std::span<std::byte> memory_;
};

}  // namespace nfbpf::traffic
