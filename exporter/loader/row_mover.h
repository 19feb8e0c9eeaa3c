// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "loader/value_moves.h"

namespace nfbpf::loader {

// Moves the rows of a map into a map of another value, into which a program counts meanwhile.
//
// An update from user space would overwrite what the program counts at that moment. So the counters
// are added by a BPF program of our own, one row a run: its adds are single instructions on the
// values of the CPU that it runs on, and no packet is between the load and the store of an add
// there, because the module keeps BH off while a packet is counted.
//
// The same program notes in the map that hands it the rows how many it has dealt with. That map is
// pinned meanwhile: after a loader that was killed between any two instructions, another one goes
// on with the row that comes next. Their order is the old map's, which nobody changes any more.
class RowMover {
 public:
  // Both maps are a hash or an array, per-CPU or not, of the same kind and the same keys. `what`
  // names the map in errors. Copies the descriptors.
  static Result<RowMover> prepare(int from, int to, std::vector<ValueMove> moves, std::string what);
  // To go on where another one stopped. `progress` is the pin that it made.
  static Result<RowMover> resume(int from, int to, std::vector<ValueMove> moves, std::string what,
                                 const std::filesystem::path& progress);
  [[nodiscard]] Result<void> pin_progress(const std::filesystem::path& pin) const;

  // Before the new program runs: a row for each old one, so that keys that are new to both cannot
  // take their places. Gauges and text have their old values, counters are 0.
  Result<void> reserve();

  // When nothing counts into the old map any more: adds the counters of the rows that have not been
  // added yet. Returns how many of these found no place; they stay in the old map.
  Result<std::size_t> move();

 private:
  RowMover() = default;
  static Result<RowMover> shaped(int from, int to, std::vector<ValueMove> moves, std::string what);
  Result<void> load_adder();
  // Calls `each` with key and values of every row of the old map until it fails.
  template <typename Each>
  Result<void> for_each_row(Each each);
  void copy_text(std::span<const std::byte> old_value, std::span<std::byte> new_value) const;
  [[nodiscard]] std::uint64_t sum_over_cpus(std::span<const std::byte> old_values,
                                            const ValueMove& move) const;
  Result<bool> add(std::span<const std::byte> key, std::span<const std::byte> old_values);

  UniqueFd from_, to_, row_, adder_;
  std::vector<ValueMove> moves_;
  std::string what_;
  std::size_t key_size_ = 0;
  std::size_t old_size_ = 0, new_size_ = 0;                  // of one CPU's value
  std::size_t old_stride_ = 0, new_stride_ = 0;              // as the kernel copies them
  std::size_t copies_ = 1;                                   // CPUs
  std::size_t template_at_ = 0, sums_at_ = 0, done_at_ = 0;  // in the value of row_
  std::vector<std::byte> row_value_;
};

}  // namespace nfbpf::loader
