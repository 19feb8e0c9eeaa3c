// SPDX-License-Identifier: Apache-2.0
#include "reader/batch_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "traffic/key_index.h"

namespace nfbpf::reader {
namespace {

// Values fetched by one call: large enough that the call itself costs nothing, small enough for a
// core's cache and for a short syscall.
constexpr std::size_t kBatchBytes = std::size_t{256} * 1024;
constexpr std::size_t kMinRows = 64;
constexpr std::size_t kMaxRows = 8192;
// A batch's position is a u32 bucket number for a hash and a key for an array, whose keys are u32.
constexpr std::size_t kPositionBytes = 8;

// bpf_map_value_size() of kernel/bpf/syscall.c, of one CPU.
std::size_t stride_of(std::uint32_t value_size, bool per_cpu) {
  return per_cpu ? (std::size_t{value_size} + 7) / 8 * 8 : value_size;
}

// Errors with which a kernel or a map type says that it has no batch look-up.
bool no_batches(int error) {
  return error == -EINVAL || error == -ENOTSUP || error == -EOPNOTSUPP ||
         error == -524 /* ENOTSUPP */;
}

// What a map's lock answers when it is taken just then: rqspinlock of 6.15 and later gives up
// rather than wait, and earlier kernels refuse to nest.
bool is_passing(int error) {
  return error == -EBUSY || error == -EDEADLK || error == -ETIMEDOUT || error == -EINTR;
}
constexpr int kMostTries = 1000;

// Signed numbers as their two's complement, so that adding needs to know nothing of signs.
std::uint64_t counter_at(const std::byte* value, const traffic::Counter& counter) {
  if (counter.size == sizeof(std::uint32_t)) {
    std::uint32_t narrow = 0;
    std::memcpy(&narrow, value, sizeof(narrow));
    if (!counter.is_signed) return narrow;
    return static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(narrow)});
  }
  std::uint64_t wide = 0;
  std::memcpy(&wide, value, sizeof(wide));
  return wide;
}

}  // namespace

BatchReader::BatchReader(std::unique_ptr<MapCalls> calls, traffic::Layout layout, MapShape shape)
    : calls_(std::move(calls)),
      layout_(std::make_shared<const traffic::Layout>(std::move(layout))),
      shape_(shape),
      stride_(stride_of(layout_->value_size, shape.per_cpu)) {
  const std::size_t rows = kBatchBytes / (stride_ * shape_.copies);
  make_room(static_cast<std::uint32_t>(std::min<std::size_t>(std::clamp(rows, kMinRows, kMaxRows),
                                                             std::max(shape_.max_entries, 1U))));
}

void BatchReader::make_room(std::uint32_t rows) {
  room_ = rows;
  keys_.resize(std::size_t{rows} * layout_->key_size);
  values_.resize(rows * stride_ * shape_.copies);
}

tl::unexpected<Error> BatchReader::incomplete(int code, const char* call) const {
  return fail_errno(
      code, "map " + layout_->map + ": " + call + " stopped the read; nothing of it is used");
}

Result<traffic::Table> BatchReader::read() {
  traffic::Table table(layout_, shape_.max_entries);
  // As many rows as last time and some: growing by doubling would hold the rows twice.
  table.reserve(std::min<std::size_t>(last_rows_ + last_rows_ / 8, shape_.max_entries));
  if (batches_) {
    const auto supported = read_batches(table);
    if (!supported) return tl::unexpected(supported.error());
    batches_ = *supported;
  }
  if (!batches_) {
    if (auto ok = read_keys(table); !ok) return tl::unexpected(ok.error());
  }
  last_rows_ = table.rows();
  return table;
}

void BatchReader::add_row(traffic::Table& into, const std::byte* key,
                          const std::byte* values) const {
  const auto sums = into.append(key);
  const auto& counters = layout_->counters;
  for (std::uint32_t copy = 0; copy < shape_.copies; ++copy, values += stride_)
    for (std::size_t i = 0; i < counters.size(); ++i)
      sums[i] += counter_at(values + counters[i].offset, counters[i]);
}

Result<bool> BatchReader::read_batches(traffic::Table& into) {
  std::byte position[kPositionBytes] = {};
  std::byte next[kPositionBytes] = {};
  void* from = nullptr;
  int tries = 0;
  for (;;) {
    std::uint32_t count = room_;
    const int error = calls_->lookup_batch(from, next, keys_.data(), values_.data(), &count);
    if (error == -ENOSPC) {
      // A bucket that does not fit in as many rows as the map may hold is no bucket of this map.
      if (room_ >= shape_.max_entries) return incomplete(error, "BPF_MAP_LOOKUP_BATCH");
      make_room(std::min(room_ * 2, shape_.max_entries));
      continue;
    }
    if (is_passing(error) && ++tries < kMostTries) continue;
    if (from == nullptr && no_batches(error)) return false;
    if (error != 0 && error != -ENOENT) return incomplete(error, "BPF_MAP_LOOKUP_BATCH");
    for (std::uint32_t row = 0; row < std::min(count, room_); ++row)
      add_row(into, keys_.data() + std::size_t{row} * layout_->key_size,
              values_.data() + row * stride_ * shape_.copies);
    if (error == -ENOENT) return true;
    std::memcpy(position, next, sizeof(position));
    from = position;
  }
}

Result<void> BatchReader::clear() {
  if (batches_) {
    const auto supported = clear_batches();
    if (!supported) return tl::unexpected(supported.error());
    if (*supported) return {};
  }
  return clear_keys();
}

Result<bool> BatchReader::clear_batches() {
  std::byte next[kPositionBytes] = {};
  std::byte position[kPositionBytes] = {};
  void* from = nullptr;
  int tries = 0;
  for (;;) {
    std::uint32_t count = room_;
    const int error = calls_->take_batch(from, next, keys_.data(), values_.data(), &count);
    if (error == -ENOENT) return true;
    if (is_passing(error) && ++tries < kMostTries) continue;
    if (error == -ENOSPC && room_ < shape_.max_entries) {
      make_room(std::min(room_ * 2, shape_.max_entries));
      continue;
    }
    if (from == nullptr && no_batches(error)) return false;
    if (error != 0) return incomplete(error, "BPF_MAP_LOOKUP_AND_DELETE_BATCH");
    std::memcpy(position, next, sizeof(position));
    from = position;
  }
}

Result<void> BatchReader::clear_keys() {
  std::vector<std::byte> key(layout_->key_size);
  for (;;) {
    if (const int error = calls_->next_key(nullptr, key.data()); error != 0) {
      if (error == -ENOENT) return {};
      return incomplete(error, "BPF_MAP_GET_NEXT_KEY");
    }
    if (const int error = calls_->remove(key.data()); error != 0 && error != -ENOENT)
      return incomplete(error, "BPF_MAP_DELETE_ELEM");
  }
}

Result<void> BatchReader::read_keys(traffic::Table& into) {
  traffic::KeyIndex seen(layout_->key_size, last_rows_);
  std::vector<std::byte> key(layout_->key_size);
  std::vector<std::byte> next(layout_->key_size);
  // Every deletion of the key that we stand on starts the walk again. Where that goes on, the map
  // changes faster than it can be read this way.
  std::uint64_t steps = 0;
  const std::uint64_t max_steps = 64 + 16 * std::uint64_t{shape_.max_entries};
  for (const std::byte* at = nullptr;; at = key.data()) {
    if (const int error = calls_->next_key(at, next.data()); error != 0) {
      if (error == -ENOENT) return {};
      return incomplete(error, "BPF_MAP_GET_NEXT_KEY");
    }
    if (++steps > max_steps) return incomplete(EAGAIN, "BPF_MAP_GET_NEXT_KEY");
    key.swap(next);
    if (!seen.find_or_add(key).second) continue;
    const int error = calls_->lookup(key.data(), values_.data());
    if (error == 0) add_row(into, key.data(), values_.data());
    // -ENOENT: deleted since.
    else if (error != -ENOENT)
      return incomplete(error, "BPF_MAP_LOOKUP_ELEM");
  }
}

}  // namespace nfbpf::reader
