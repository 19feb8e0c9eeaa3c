// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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
  [[nodiscard]] std::optional<std::size_t> find(std::span<const std::byte> key) const;
  // The numbers of `keys`, one behind the other, kNone for those that are not here. Of a large
  // index half as dear as one after another: the next are fetched while one is compared.
  static constexpr std::uint32_t kNone = 0xffffffff;
  void find_all(std::span<const std::byte> keys, std::span<std::uint32_t> numbers) const;
  [[nodiscard]] std::size_t size() const { return size_; }
  // Valid until the next key is added.
  [[nodiscard]] std::span<const std::byte> key(std::size_t number) const {
    return {keys_.data() + number * key_size_, key_size_};
  }

 private:
  [[nodiscard]] std::uint64_t hash(const std::byte* key) const;
  // The slot of the key, or the free one where it belongs; the search begins at `at`.
  [[nodiscard]] std::size_t slot_of(std::size_t at, const std::byte* key) const;
  void grow(std::size_t slots);

  std::size_t key_size_;
  std::uint64_t seed_;
  std::size_t size_ = 0;
  std::vector<std::byte> keys_;
  std::vector<std::uint32_t> slots_;  // number + 1; 0 is free
};

}  // namespace nfbpf::traffic
