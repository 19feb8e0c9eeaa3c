// SPDX-License-Identifier: Apache-2.0
#include "traffic/state_store.h"

#include <atomic>
#include <cstring>
#include <string>

namespace nfbpf::traffic {

struct StateStore::Head {
  std::uint64_t magic;
  std::uint64_t sequence;  // saves so far; its last bit says which copy counts
};
struct StateStore::CopyHead {
  std::uint64_t note, length, checksum;
};

namespace {

constexpr std::uint64_t kMagic = 0x3265697265736e66;  // "fnserie2"
constexpr std::size_t kHeadBytes = 64;

// FNV-1a by words: against a page that was lost or a writer of another mind, not against anybody.
std::uint64_t checksum(std::uint64_t note, std::span<const std::byte> bytes) {
  constexpr std::uint64_t kPrime = 0x100000001b3;
  std::uint64_t sum = 0xcbf29ce484222325 ^ note;
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min(sizeof(word), bytes.size() - at));
    sum = (sum ^ word) * kPrime;
  }
  return sum ^ bytes.size();
}

std::atomic_ref<std::uint64_t> atomic(std::uint64_t& word) {
  return std::atomic_ref<std::uint64_t>(word);
}

}  // namespace

std::span<std::byte> StateStore::copy(std::uint64_t number) const {
  const std::size_t each = (memory_.size() - kHeadBytes) / 2 / 8 * 8;
  return memory_.subspan(kHeadBytes + (number & 1U) * each, each);
}

std::size_t StateStore::capacity() const {
  if (memory_.size() < kHeadBytes + 2 * (sizeof(CopyHead) + 8)) return 0;
  return copy(0).size() - sizeof(CopyHead);
}

Result<std::optional<StateStore::Saved>> StateStore::load() const {
  if (capacity() == 0) return fail("memory for series: too small");
  auto* head = reinterpret_cast<Head*>(memory_.data());
  const std::uint64_t sequence = atomic(head->sequence).load(std::memory_order_acquire);
  if (head->magic == 0 && sequence == 0) return std::nullopt;
  if (head->magic != kMagic) return fail("memory for series: holds something else");
  if (sequence == 0) return std::nullopt;  // killed during the first save
  const auto area = copy(sequence);
  CopyHead about{};
  std::memcpy(&about, area.data(), sizeof(about));
  if (about.length > capacity()) return fail("memory for series: is damaged");
  const auto bytes = area.subspan(sizeof(about), about.length);
  if (checksum(about.note, bytes) != about.checksum) return fail("memory for series: is damaged");
  return Saved{about.note, {bytes.begin(), bytes.end()}};
}

Result<void> StateStore::save(std::uint64_t note, std::span<const std::byte> bytes) {
  if (bytes.size() > capacity())
    return fail("memory for series: " + std::to_string(bytes.size()) + " bytes do not fit in " +
                std::to_string(capacity()) + "; attach with a larger --series-memory");
  auto* head = reinterpret_cast<Head*>(memory_.data());
  head->magic = kMagic;
  const std::uint64_t next = atomic(head->sequence).load(std::memory_order_relaxed) + 1;
  const auto area = copy(next);
  const CopyHead about{note, bytes.size(), checksum(note, bytes)};
  std::memcpy(area.data(), &about, sizeof(about));
  if (!bytes.empty()) std::memcpy(area.data() + sizeof(about), bytes.data(), bytes.size());
  atomic(head->sequence).store(next, std::memory_order_release);
  return {};
}

}  // namespace nfbpf::traffic
