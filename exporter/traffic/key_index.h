// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace nfbpf::traffic {

// Finds packed keys of one size: an open-addressing set that numbers keys in the order they first
// came. Keys come from the network, so the hash is seeded per index: nobody can aim at one bucket.
class KeyIndex {
 public:
  explicit KeyIndex(std::size_t key_size, std::size_t expected = 0);

  // The number of the key, and whether it is new. `key` has key_size bytes.
  std::pair<std::size_t, bool> find_or_add(std::span<const std::byte> key);
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  [[nodiscard]] std::uint64_t hash(const std::byte* key) const;
  void grow(std::size_t slots);

  std::size_t key_size_;
  std::uint64_t seed_;
  std::size_t size_ = 0;
  std::vector<std::byte> keys_;
  std::vector<std::uint32_t> slots_;  // number + 1; 0 is free
};

}  // namespace nfbpf::traffic
