// SPDX-License-Identifier: Apache-2.0
#include "traffic/key_index.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <random>

namespace nfbpf::traffic {
namespace {

constexpr std::size_t kMinSlots = 16;

// The kernel is asked once: indexes are made by the thousand, and nobody outside sees a seed.
std::uint64_t random_seed() {
  thread_local std::mt19937_64 seeds = [] {
    std::random_device device;
    return std::mt19937_64((static_cast<std::uint64_t>(device()) << 32U) | device());
  }();
  return seeds();
}

// The 128-bit product folded to 64 bits: every input bit reaches every output bit.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

}  // namespace

KeyIndex::KeyIndex(std::size_t key_size, std::size_t expected)
    : key_size_(key_size), seed_(random_seed()) {
  keys_.reserve(expected * key_size);
  grow(std::bit_ceil(std::max(kMinSlots, expected * 2)));
}

std::uint64_t KeyIndex::hash(const std::byte* key) const {
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;
  std::uint64_t state = seed_;
  for (std::size_t at = 0; at < key_size_; at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, key + at, std::min(sizeof(word), key_size_ - at));
    state = mix(state ^ word, kOdd ^ seed_);
  }
  return mix(state, kOdd);
}

void KeyIndex::grow(std::size_t slots) {
  slots_.assign(slots, 0);
  for (std::size_t number = 0; number < size_; ++number) {
    std::size_t at = hash(keys_.data() + number * key_size_) & (slots - 1);
    while (slots_[at] != 0) at = (at + 1) & (slots - 1);
    slots_[at] = static_cast<std::uint32_t>(number + 1);
  }
}

std::size_t KeyIndex::slot_of(std::size_t at, const std::byte* key) const {
  for (; slots_[at] != 0; at = (at + 1) & (slots_.size() - 1)) {
    const std::size_t number = slots_[at] - 1;
    if (key_size_ == 0 || std::memcmp(keys_.data() + number * key_size_, key, key_size_) == 0)
      break;
  }
  return at;
}

std::optional<std::size_t> KeyIndex::find(std::span<const std::byte> key) const {
  const std::uint32_t slot = slots_[slot_of(hash(key.data()) & (slots_.size() - 1), key.data())];
  return slot == 0 ? std::nullopt : std::optional<std::size_t>(slot - 1);
}

void KeyIndex::find_all(std::span<const std::byte> keys, std::span<std::uint32_t> numbers) const {
  constexpr std::size_t kAhead = 32;
  std::array<std::size_t, kAhead> at{};
  for (std::size_t first = 0; first < numbers.size(); first += kAhead) {
    const std::size_t count = std::min(kAhead, numbers.size() - first);
    const std::byte* block = keys.data() + first * key_size_;
    for (std::size_t i = 0; i < count; ++i) {
      at[i] = hash(block + i * key_size_) & (slots_.size() - 1);
      __builtin_prefetch(&slots_[at[i]]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t slot = slots_[at[i]];
      if (slot != 0) __builtin_prefetch(keys_.data() + (slot - 1) * key_size_);
    }
    for (std::size_t i = 0; i < count; ++i)
      numbers[first + i] =
          slots_[slot_of(at[i], block + i * key_size_)] - 1;  // kNone of a free one
  }
}

std::pair<std::size_t, bool> KeyIndex::find_or_add(std::span<const std::byte> key) {
  if ((size_ + 1) * 4 > slots_.size() * 3) grow(slots_.size() * 2);
  const std::size_t at = slot_of(hash(key.data()) & (slots_.size() - 1), key.data());
  if (slots_[at] != 0) return {slots_[at] - 1, false};
  keys_.insert(keys_.end(), key.begin(), key.begin() + static_cast<std::ptrdiff_t>(key_size_));
  slots_[at] = static_cast<std::uint32_t>(++size_);
  return {size_ - 1, true};
}

}  // namespace nfbpf::traffic
