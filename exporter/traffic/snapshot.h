// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "traffic/table.h"
#include "traffic/unaccounted.h"

namespace nfbpf::traffic {

// Which way packets reach the program, and why it is that way.
struct Datapath {
  std::string name;    // "kmod", "netfilter-link"
  std::string reason;  // a sentence
};

struct Program {
  std::string name, id, tag, object;
  std::string abi;  // "major.minor" of the contract it was built for
};

// What the loader left for the reader; shown as it is.
struct Origin {
  Datapath datapath;
  Program program;
  double loaded_at = 0;  // seconds since the epoch
  // When it was attached, seconds since the machine started; 0: the loader did not say.
  double attached_at = 0;
  // Whether the maps began with the module and count each packet, so that its totals are theirs.
  bool accountable = false;
  // One packet in this many was counted, as if it were all of them; 0: the program does not say.
  std::uint64_t sample_every = 0;
  // Whether the last swap of programs was taken; nothing: there was none since the attach.
  std::optional<bool> last_swap_successful = {};
};

// A map that is there and cannot be shown: its layout has no label or counter for a member.
struct SkippedMap {
  std::string map;
  std::string why;  // names the map and the member
};

// Classes of failure, for a metric; the text of the error has the particulars.
enum class ErrorClass : std::uint8_t { kNotLoaded, kManifest, kAbi, kLayout, kOpen, kRead };
inline constexpr const char* kErrorClassNames[] = {"not_loaded", "manifest", "abi",
                                                   "layout",     "open",     "read"};

struct Failure {
  ErrorClass kind = ErrorClass::kRead;
  Error error;
};

// Rows in use of a map, and those that it can hold. Of two buffers: of both, and of one.
struct MapFill {
  std::string map;
  std::uint64_t rows = 0, capacity = 0;
};

// Rows of one family name that are series of their own.
struct FamilyFill {
  std::string family;
  std::uint64_t series = 0, limit = 0;
  bool over = false;  // there are more, and they are in `other`
};

// How the exporter keeps what it took out of the maps.
struct Keeping {
  bool kept = false;         // what series stand at outlives the exporter
  std::uint64_t drains = 0;  // buffers emptied since it began
  std::uint64_t drained_rows = 0;
};

// One part of the scrape and how it went.
struct Collection {
  std::string collector;
  double seconds = 0;
  std::optional<Failure> failure;
};

// Everything one scrape shows. Complete: when a collector failed its tables are absent, never
// partial.
struct Snapshot {
  std::chrono::system_clock::time_point time;
  std::vector<Table> tables;
  std::vector<MapFill> maps;
  std::vector<FamilyFill> families;
  std::optional<Keeping> keeping;  // nothing: there is nothing to be read
  std::optional<Origin> origin;
  std::vector<SkippedMap> skipped;
  std::vector<Collection> collections;
  // Nothing: it cannot be said of this datapath and program.
  std::optional<std::vector<Unaccounted>> unaccounted;
  // For how long nothing was counted since it was first attached; see Continuity.
  std::optional<double> blind_seconds;
  // nft flowtables of the machine, whose flows pass the hooks by; nothing: see reader/flowtables.h.
  std::optional<std::uint64_t> flowtables;
  bool counting = true;  // packets reach the program, as far as can be seen

  [[nodiscard]] bool complete() const {
    for (const Collection& c : collections)
      if (c.failure) return false;
    return !collections.empty();
  }
};

// Where snapshots come from. take() may be called by many threads at once.
class SnapshotSource {
 public:
  SnapshotSource() = default;
  SnapshotSource(const SnapshotSource&) = delete;
  SnapshotSource& operator=(const SnapshotSource&) = delete;
  virtual ~SnapshotSource() = default;
  [[nodiscard]] virtual std::shared_ptr<const Snapshot> take() = 0;
};

}  // namespace nfbpf::traffic
