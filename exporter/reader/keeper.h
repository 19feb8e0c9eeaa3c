// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "reader/epoch.h"
#include "reader/map_source.h"
#include "reader/pin_memory.h"
#include "traffic/continuity.h"
#include "traffic/ledgers.h"
#include "traffic/snapshot.h"
#include "traffic/state_store.h"

namespace nfbpf::reader {

// Keeps what the series stand at, in memory that outlives us, and takes rows out of the buffers:
//
//   turn the epoch, wait until nobody counts into the old buffer, read it, add its rows to the
//   ledgers, save these together with the note that this buffer is to be emptied, empty it, save
//   without the note.
//
// Killed at any point, the next keeper finds either a buffer that is not in the ledgers yet, and
// drains it, or the note, and empties it. All of this happens under the loader's lock, a flock(2)
// of run_dir. One keeper at a time: it holds a lock of run_dir/btf.
class Keeper {
 public:
  // One table: a map, or two buffers of one.
  struct Part {
    MapSource* first = nullptr;
    MapSource* second = nullptr;
    // Whether the program counts into the one of both that the epoch names, and our taking rows out
    // of the other harms nobody. A program that knows no buffers may count into either; then the
    // table is both, and its rows stay where they are.
    bool by_epoch = true;
    [[nodiscard]] bool is_drained() const { return second != nullptr && by_epoch; }
  };
  struct Places {
    std::filesystem::path pin_dir, run_dir;
  };
  // Without a series pin, or without the right to write it, nothing outlives us and no row is taken
  // out. `looks_only`: takes no part in any of it, because another process does.
  static Result<std::unique_ptr<Keeper>> open(const Places& places, std::vector<Part> parts,
                                              traffic::LedgerOptions options, bool looks_only);
  // With that memory and epoch, as tests have them without a kernel; no epoch: that of pin_dir, if
  // there are buffers.
  static Result<std::unique_ptr<Keeper>> open_with(const Places& places, std::vector<Part> parts,
                                                   traffic::LedgerOptions options, PinMemory memory,
                                                   std::unique_ptr<Epoch> epoch);

  // The rows that are in the maps.
  Result<std::vector<traffic::Table>> live();

  // What is to be shown; saved before it is returned.
  [[nodiscard]] Result<std::vector<traffic::Table>> show();

  // To be called every second or so: takes rows out when a buffer is half full and otherwise three
  // times in the time after which a series is idle; ranks what is shown. `still_ours` says whether
  // the program and the maps are those that we know, and is asked under the loader's lock. `now` in
  // seconds. Error code EBUSY: the lock was not to be had for a minute; nothing has changed.
  Result<void> tick(double now, const std::function<bool()>& still_ours);

  // What one keeper hands to the next of the same process, beside what is saved: when it last did
  // what, for one that is opened at each failed read would never be due; and what it has done.
  struct Past {
    std::optional<double> drained_at, ranked_at;  // nothing: no tick yet
    std::uint64_t drains = 0, drained_rows = 0;
  };
  [[nodiscard]] Past past() const;
  void go_on_from(const Past& past);

  // What an earlier keeper left of it; nothing where there was none.
  [[nodiscard]] Result<std::optional<traffic::Continuity>> continuity() const;
  Result<void> keep(const traffic::Continuity& continuity);

  // As of the last read.
  [[nodiscard]] const std::vector<traffic::MapFill>& maps() const { return maps_; }
  [[nodiscard]] std::vector<traffic::FamilyFill> families() const { return ledgers_.fill(); }
  [[nodiscard]] const traffic::Keeping& keeping() const { return keeping_; }
  // The limit of series that is in force, where the memory does not hold those that were asked for.
  [[nodiscard]] std::optional<std::uint32_t> lowered_limit() const { return lowered_limit_; }

 private:
  static constexpr double kRankSeconds = 15;
  static constexpr double kPatienceSeconds = 60;  // for the loader's lock

  Keeper(Places places, std::vector<Part> parts, traffic::LedgerOptions options);
  // Parts of the memory: most of it, and a little at its end that is written every second.
  [[nodiscard]] traffic::StateStore series_store() const;
  [[nodiscard]] traffic::StateStore continuity_store() const;
  Result<void> remember(std::unique_ptr<Epoch> epoch);
  void fit_into_memory();
  Result<void> save();
  Result<void> drain(double now);
  [[nodiscard]] std::vector<MapSource*> maps_of(std::uint32_t buffer) const;
  [[nodiscard]] bool has_buffers() const;
  Result<void> empty();
  Result<void> rank(double now);
  Result<void> note_waiting(double now);
  [[nodiscard]] bool is_due(double now) const;

  Places places_;
  std::vector<Part> parts_;
  traffic::LedgerOptions options_;
  traffic::Ledgers ledgers_;
  UniqueFd owner_;
  std::optional<PinMemory> memory_;
  std::unique_ptr<Epoch> epoch_;
  // The buffer that is not counted into, while its rows are not in the ledgers.
  std::optional<std::uint32_t> undrained_;
  // The buffer whose rows are in the ledgers, until it is emptied: the note of the saved state.
  std::optional<std::uint32_t> to_empty_;
  std::optional<double> waiting_since_;  // for the loader's lock
  std::optional<std::uint32_t> lowered_limit_;
  std::optional<double> drained_at_, ranked_at_;
  bool unsaved_ = false;  // something changed that could not be saved
  std::vector<traffic::MapFill> maps_;
  traffic::Keeping keeping_;
};

}  // namespace nfbpf::reader
