// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reader/map_source.h"
#include "reader/pinned_map.h"
#include "traffic/snapshot.h"

namespace nfbpf::reader {

// Follows pins that come and go as other tools please: opens what has appeared or was replaced and
// lets go of what is gone.
class OtherPins {
 public:
  explicit OtherPins(std::vector<OtherPin> pins);

  [[nodiscard]] bool none() const { return pins_.empty(); }

  // `taken` are names of maps that are shown already.
  void follow(MapOpener& opener, const std::vector<std::string>& taken);

  // As of the last follow().
  [[nodiscard]] std::vector<MapSource*> sources() const;
  [[nodiscard]] std::vector<traffic::SkippedMap> skipped() const;

 private:
  struct Stamp {
    ino_t inode = 0;
    timespec changed{};
    friend bool operator==(const Stamp& a, const Stamp& b) {
      return a.inode == b.inode && a.changed.tv_sec == b.changed.tv_sec &&
             a.changed.tv_nsec == b.changed.tv_nsec;
    }
  };
  struct Pin {
    OtherPin wanted;
    std::optional<Stamp> stamp;  // of what is open
    std::unique_ptr<MapSource> source;
    std::string skipped_because;
  };

  static std::optional<Stamp> stamp_of(const std::filesystem::path& path);
  static void follow_one(Pin& pin, MapOpener& opener);

  std::vector<Pin> pins_;
};

}  // namespace nfbpf::reader
