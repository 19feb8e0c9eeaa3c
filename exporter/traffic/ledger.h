// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "traffic/key_index.h"
#include "traffic/table.h"

namespace nfbpf::traffic {

// Tables as they were read, which are not copied: they must outlive this.
class LiveTables {
 public:
  LiveTables() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): a list of tables is one
  LiveTables(const std::vector<Table>& tables) {
    for (const Table& table : tables) add(table);
  }
  void add(const Table& table) { tables_.push_back(&table); }
  const Table& operator[](std::size_t i) const { return *tables_[i]; }

 private:
  std::vector<const Table*> tables_;
};

struct LedgerOptions {
  // Series that one metric family may have, of rows; what is in no row is in `other`.
  std::uint32_t series_limit = 10'000;
  double idle_seconds = 900;  // without a count for that long, and out of the map: leaves
};

// A table of a ledger: all have one family name and the same label names.
struct LedgerPart {
  std::shared_ptr<const Layout> layout;
  // The map's rows are taken out by us alone, and each by drain(). Of another map rows may vanish.
  bool drained = false;
  // A row is the sum of those of two maps, of which one may vanish alone.
  bool joined = false;
};

// Which rows are series of their own, and what each series stands at.
//
// A series is a row, or a cell of `other`: one for each direction (each value of the labels that
// are enums), where every other label reads "other". A row that is live, which is in the map,
// counts for exactly one series, and
//
//     value of a series = its offset + the sum of the live rows that count for it,
//
// all modulo 2^64. A row that changes its series takes its value out of the one offset and puts it
// into the other; a row that is drained leaves its value in the offset. So no series falls, and all
// together they are what was ever counted, whoever reads them and however often.
//
// While everything fits, a row is a series from its first count on. When it does not, rows stay in
// `other` until rank() finds that they are among the busiest; such a series begins at 0, and what
// the row had counted before stays in `other`. A series that leaves is added to `other`; if its row
// comes back later it begins at 0 again, which Prometheus takes for the reset that it is.
//
// A gauge has no place in `other` and no offset. Knows no clock: `now` is seconds that do not run
// backwards over a reboot of this process, and if they do, nothing worse comes of it than a series
// that stays longer.
class Ledger {
 public:
  Ledger(std::vector<LedgerPart> parts, LedgerOptions options);

  struct Shown {
    std::vector<Table> tables;  // of each part its series, then `other` where there is any
    bool changed = false;       // save() before anybody sees it
  };
  // `live`: one table for each part, in the same order and of the same layout.
  [[nodiscard]] Shown show(const LiveTables& live);

  // To be called on a clock, not by those who read: who is shown does not depend on them. True if
  // anything changed.
  bool rank(const LiveTables& live, double now);

  // Rows that will be taken out of their maps: they count no more, and what they have stays.
  void drain(const LiveTables& rows, double now);

  void set_options(LedgerOptions options) { options_ = options; }

  [[nodiscard]] std::size_t series() const;     // rows that are series of their own
  [[nodiscard]] std::size_t row_limit() const;  // how many there may be
  // Whether rows that are in the map are part of `other` for want of room.
  [[nodiscard]] bool is_over() const { return over_; }
  [[nodiscard]] const std::vector<LedgerPart>& parts() const { return parts_; }

  // What has to outlive the process. restore() adds to a new ledger what a saved one had of the
  // maps that are its parts, and may be called for each of several: a family's name may have
  // changed since. A state of another layout keeps what it can: offsets of counters that have the
  // same name, of series whose labels are the same; the rest of them is added to `other`. Bytes
  // that are no state are an error, and the ledger is as it was.
  [[nodiscard]] std::vector<std::byte> save() const;
  [[nodiscard]] Result<void> restore(std::span<const std::byte> state);

  // Bytes of a state in which there are as many series as `limit` allows, and not many more cells
  // of `other` than now.
  [[nodiscard]] std::size_t state_bytes(std::uint32_t limit) const;

 private:
  static constexpr std::uint32_t kUnlisted = KeyIndex::kNone;
  // Who left stays away for so long: Prometheus looks back five minutes at the most.
  static constexpr double kAwaySeconds = 300;

  // Rows with counters that are kept here: series of a part, or cells of its `other`.
  struct Rows {
    explicit Rows(std::size_t key_size) : index(key_size) {}
    KeyIndex index;
    std::vector<std::uint64_t> offsets;  // rows x counters
  };
  struct Activity {
    std::uint64_t period = 0;  // score of the live row before the last drain
    std::uint64_t seen = 0;    // score of the live row when rank() looked
    double at = 0;             // when it last moved
    bool known = false;        // `at` means something
    // The series' offset is below 0: it has yet to take off what its row had when it entered.
    bool owes = false;
  };
  struct PartState {
    explicit PartState(const LedgerPart& part);
    std::shared_ptr<const Layout> layout;
    std::shared_ptr<const Layout> other_layout;
    bool drained, joined;
    std::size_t score_counter;
    std::vector<bool> gauges;        // by counter
    std::vector<const Field*> kept;  // labels that a cell has
    Rows series, cells;
    std::vector<Activity> activity;  // by series
    // Keys that rank() folded into `other` lately, and when; no more than there may be series. One
    // that came back between two looks of a reader would be a series that fell. Those whose row was
    // deleted are not among them: with it went what they had counted, and the row that comes back
    // is another one, all of which is to be shown.
    std::map<std::vector<std::byte>, double> left;
    // Of maps whose rows may vanish: when last shown. Of a drained part 0: its rows go nowhere but
    // into the offsets, and a later part of the same map must not take them for vanished.
    std::vector<std::uint64_t> cell_live_sums;
  };
  struct Candidate {
    std::uint64_t score;
    std::uint32_t part, row;
  };
  struct Series {
    std::uint64_t score;
    std::uint32_t part, number;
  };
  using Assignment = std::vector<std::vector<std::uint32_t>>;  // by part and live row

  [[nodiscard]] Assignment assign(const LiveTables& live) const;
  [[nodiscard]] std::size_t cell_of(PartState& part, std::span<const std::byte> key);
  static void add(PartState& part, std::uint64_t* to, std::span<const std::uint64_t> values,
                  std::uint64_t factor);
  std::uint32_t list(PartState& part, std::span<const std::byte> key);
  void enter(const Candidate& candidate, const LiveTables& live);
  bool drop_vanished(const LiveTables& live, const Assignment& assignment);
  static bool begin_anew(PartState& part, const Table& live,
                         const std::vector<std::uint32_t>& numbers);
  void keep_in_cells(const LiveTables& live, const Assignment& assignment,
                     const std::vector<std::vector<bool>>& leaving);
  bool list_new(const LiveTables& live, Assignment& assignment);
  void remove(const std::vector<std::vector<bool>>& leaving, bool keep);
  std::vector<std::vector<bool>> nobody_leaves() const;
  std::vector<Candidate> candidates(const LiveTables& live, const Assignment& assignment) const;
  [[nodiscard]] static bool left_lately(const PartState& part, std::span<const std::byte> key);
  void note_activity(const LiveTables& live, const Assignment& assignment, double now);
  Table other_table(PartState& part, const Table& live, const std::vector<std::uint32_t>& numbers,
                    bool& changed);

  std::vector<LedgerPart> parts_;
  LedgerOptions options_;
  std::vector<PartState> states_;
  bool over_ = false;
  double ranked_at_ = 0;
};

}  // namespace nfbpf::traffic
