// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "traffic/table.h"

namespace nfbpf::traffic {

// What goes on when what feeds the program is taken away and put back (rmmod and insmod, links that
// are removed) while the maps stay:
//
//   blind time   how long nothing was counted. Its end is exact where the datapath says since when
//                it counts; its start is when it was last seen to, so it is never told too short.
//   totals       the module's begin at 0 with each module; here they go on from where the module
//                before was last read.
//
// All times are seconds since the machine started, suspended or not (CLOCK_BOOTTIME).
class Continuity {
 public:
  // What a look at the datapath found.
  struct Look {
    bool counting = false;
    std::optional<double> since;  // when it began to, where it says so
  };
  void look(double now, Look seen);
  [[nodiscard]] double blind_seconds(double now) const;
  [[nodiscard]] bool counting() const { return counting_; }

  // `totals` as the module that counts since `since` has them, nothing where that is not known;
  // comes back with those of all modules before. To be saved before it is shown.
  [[nodiscard]] Table carry_on(Table totals, std::optional<double> since);

  // What has to outlive the process; at most kMostBytes, as long as there are no more hooks.
  static constexpr std::size_t kMostBytes = 2048;
  [[nodiscard]] std::vector<std::byte> save() const;
  // Bytes that are no state are an error, and nothing is changed.
  [[nodiscard]] Result<void> restore(std::span<const std::byte> state);

 private:
  [[nodiscard]] bool any_fell(const Table& totals) const;

  struct Total {
    std::uint64_t before = 0;  // of the modules before
    std::uint64_t last = 0;    // of this one, when read last
  };
  double blind_ = 0;             // of the blind times that ended
  std::optional<double> seen_;   // counting, the last time
  bool counting_ = false;        // the last time we looked
  std::optional<double> began_;  // of the module whose totals were read last
  std::map<std::vector<std::byte>, std::vector<Total>> totals_;  // by key
};

}  // namespace nfbpf::traffic
