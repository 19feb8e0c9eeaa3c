// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "traffic/table.h"

namespace nfbpf::reader {

// The seam between a map and everything after it: whatever can say what its rows mean and read them
// all. A per-CPU hash read in batches is one; a fake in a test and a table in shared memory are
// others.
class MapSource {
 public:
  MapSource() = default;
  MapSource(const MapSource&) = delete;
  MapSource& operator=(const MapSource&) = delete;
  virtual ~MapSource() = default;

  [[nodiscard]] virtual const traffic::Layout& layout() const = 0;

  // Every row there is, each key once, its counters summed over the CPUs. An incomplete read is an
  // error. One caller at a time.
  [[nodiscard]] virtual Result<traffic::Table> read() = 0;

  // Takes every row out, into which nothing may be counted meanwhile: what was counted since the
  // last read would be gone.
  [[nodiscard]] virtual Result<void> clear() {
    return fail("map " + layout().map + ": is not ours to empty");
  }
};

}  // namespace nfbpf::reader
