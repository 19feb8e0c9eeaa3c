// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "reader/interface_names.h"
#include "reader/keeper.h"
#include "reader/manifest.h"
#include "reader/map_source.h"
#include "reader/other_pins.h"
#include "reader/pinned_map.h"
#include "traffic/continuity.h"
#include "traffic/networks.h"
#include "traffic/snapshot.h"

namespace nfbpf::reader {

// Names of the collectors, as label values.
inline constexpr const char* kMapsCollector = "maps";
inline constexpr const char* kHooksCollector = "hooks";
inline constexpr const char* kPinsCollector = "pins";  // only when there are other pins

// Follows what the loader wrote: opens the maps when the manifest appears, again when it changes or
// a read fails, and reads them all for each snapshot.
class Reader final : public traffic::SnapshotSource {
 public:
  struct Paths {
    std::filesystem::path run_dir;
    std::filesystem::path sysfs;
    std::filesystem::path pin_dir = {};  // empty: where the loader says that it pinned
  };
  Reader(Paths paths, std::unique_ptr<MapOpener> opener,
         InterfaceNames interface_names = own_interface_names,
         std::vector<OtherPin> other_pins = {}, traffic::LedgerOptions options = {},
         traffic::Grouping grouping = {}, bool looks_only = false);

  // One read serves all threads that came before it began; those that come while one is under way
  // wait for the next.
  [[nodiscard]] std::shared_ptr<const traffic::Snapshot> take() override;

  // Another configuration from the next snapshot on. What the series stand at goes with it where it
  // is kept; labels that are others begin anew, and what the old ones had is in `other`.
  void reconfigure(std::unique_ptr<MapOpener> opener, std::vector<OtherPin> other_pins,
                   traffic::LedgerOptions options, traffic::Grouping grouping);

  // The rows that are in the maps now, of which some may be no series.
  [[nodiscard]] Result<std::vector<traffic::Table>> live();

  // Housekeeping, every second or so; see Keeper. `now` in seconds since the machine started.
  Result<void> tick(double now);

 private:
  using Step = tl::expected<void, traffic::Failure>;

  // Which version of the manifest is open; a loader replaces the file by rename.
  struct Stamp {
    ino_t inode = 0;
    timespec changed{};
    off_t size = 0;
    friend bool operator==(const Stamp& a, const Stamp& b) {
      return a.inode == b.inode && a.size == b.size && a.changed.tv_sec == b.changed.tv_sec &&
             a.changed.tv_nsec == b.changed.tv_nsec;
    }
  };
  struct Open {
    std::optional<Stamp> stamp;
    traffic::Origin origin;
    std::vector<std::unique_ptr<MapSource>> sources;
    std::unique_ptr<Keeper> keeper;  // reads the sources
    std::vector<traffic::SkippedMap> skipped;
    std::filesystem::path pin_dir;
  };

  [[nodiscard]] std::optional<Stamp> stamp() const;
  Step follow_manifest();
  Step open_all();
  void close();
  void add_unknown_labels(Open& opening) const;
  Step read_all(traffic::Snapshot& snapshot);
  [[nodiscard]] Result<traffic::Table> named(traffic::Table table);
  [[nodiscard]] Result<traffic::Table> read_table(MapSource& source);
  // `totals` gets those of before the read of the maps, where they are of use.
  Step collect_maps(traffic::Snapshot& snapshot, std::optional<traffic::Table>& totals);
  Step collect_pins(traffic::Snapshot& snapshot);
  Step collect_hooks(traffic::Snapshot& snapshot);
  // Whether maps and program are those that we opened.
  [[nodiscard]] bool still_ours() const;
  // Whether packets reach the program, and since when.
  [[nodiscard]] traffic::Continuity::Look look() const;
  Result<void> note_datapath(double now);
  Step go_on_from(const Open& opening);
  Step read_maps_with_one_retry(traffic::Snapshot& snapshot);

  Paths paths_;
  std::unique_ptr<MapOpener> opener_;
  InterfaceNames interface_names_;
  std::vector<traffic::EnumName> names_now_;  // of interfaces, once asked for in this snapshot
  OtherPins other_pins_;
  traffic::LedgerOptions options_;
  traffic::Grouping grouping_;
  bool looks_only_;
  std::mutex mutex_;
  // The snapshot that was taken last, while somebody still renders it, and when its read began.
  std::weak_ptr<const traffic::Snapshot> last_;
  std::chrono::steady_clock::time_point last_began_{};
  std::optional<Open> open_;
  Keeper::Past past_;  // of the one that was closed last
  // Of the datapath that was attached at that time, and that of every module since.
  traffic::Continuity continuity_;
  double continuity_of_ = 0;
};

}  // namespace nfbpf::reader
