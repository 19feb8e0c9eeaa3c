// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "reader/map_calls.h"
#include "reader/map_source.h"

namespace nfbpf::reader {

// What of a map's shape matters to its reading.
struct MapShape {
  std::uint32_t max_entries = 0;
  // Copies of the value that one look-up returns: the possible CPUs for a per-CPU map, else 1.
  std::uint32_t copies = 1;
  // The kernel pads each value to 8 bytes, which it does for no other map.
  bool per_cpu = false;
};

// Reads a hash or array, per-CPU or not, in batches; key by key where there are no batches. A batch
// call holds one bucket's lock at a time and a key never leaves its bucket, so no key comes twice;
// the walk key by key can start again when its key is deleted, so there keys that were seen are
// left out.
class BatchReader final : public MapSource {
 public:
  BatchReader(std::unique_ptr<MapCalls> calls, traffic::Layout layout, MapShape shape);

  [[nodiscard]] const traffic::Layout& layout() const override { return *layout_; }
  [[nodiscard]] Result<traffic::Table> read() override;
  [[nodiscard]] Result<void> clear() override;

 private:
  // false: the map or the kernel has no batches.
  Result<bool> read_batches(traffic::Table& into);
  Result<void> read_keys(traffic::Table& into);
  Result<bool> clear_batches();
  Result<void> clear_keys();
  void add_row(traffic::Table& into, const std::byte* key, const std::byte* values) const;
  void make_room(std::uint32_t rows);
  [[nodiscard]] tl::unexpected<Error> incomplete(int code, const char* call) const;

  std::unique_ptr<MapCalls> calls_;
  std::shared_ptr<const traffic::Layout> layout_;
  MapShape shape_;
  std::size_t stride_;  // bytes of one CPU's value as the kernel copies it out
  bool batches_ = true;
  std::size_t last_rows_ = 0;
  // Kept between reads: their sizes are what ENOSPC taught.
  std::uint32_t room_ = 0;  // rows
  std::vector<std::byte> keys_;
  std::vector<std::byte> values_;
};

}  // namespace nfbpf::reader
