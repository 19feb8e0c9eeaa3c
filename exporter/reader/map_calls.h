// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/unique_fd.h"

namespace nfbpf::reader {

// The map syscalls that a read needs, and those that empty a map, so that a test can play a kernel.
// Each returns 0 or -errno.
class MapCalls {
 public:
  MapCalls() = default;
  MapCalls(const MapCalls&) = delete;
  MapCalls& operator=(const MapCalls&) = delete;
  virtual ~MapCalls() = default;

  // BPF_MAP_LOOKUP_BATCH: `position` is null at the start, `count` goes in as room and comes back
  // as rows. -ENOENT: these rows are the last; -ENOSPC: one bucket has more rows than there is
  // room.
  virtual int lookup_batch(void* position, void* next, void* keys, void* values,
                           std::uint32_t* count) = 0;
  // The same, and takes out what it gives: BPF_MAP_LOOKUP_AND_DELETE_BATCH.
  virtual int take_batch(void* position, void* next, void* keys, void* values,
                         std::uint32_t* count) = 0;
  virtual int remove(const void* key) = 0;
  virtual int next_key(const void* key, void* next) = 0;
  virtual int lookup(const void* key, void* value) = 0;
};

// The kernel's, on an open map.
class BpfMapCalls final : public MapCalls {
 public:
  explicit BpfMapCalls(UniqueFd fd) : fd_(std::move(fd)) {}
  int lookup_batch(void* position, void* next, void* keys, void* values,
                   std::uint32_t* count) override;
  int take_batch(void* position, void* next, void* keys, void* values,
                 std::uint32_t* count) override;
  int remove(const void* key) override;
  int next_key(const void* key, void* next) override;
  int lookup(const void* key, void* value) override;

 private:
  UniqueFd fd_;
};

}  // namespace nfbpf::reader
