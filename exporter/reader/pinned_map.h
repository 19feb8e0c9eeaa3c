// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "reader/manifest.h"
#include "reader/map_source.h"
#include "traffic/map_rules.h"

namespace nfbpf::reader {

// A map that another tool pinned, so that no manifest tells of it.
struct OtherPin {
  std::string name;  // for rules, labels and messages
  std::filesystem::path path;
  std::filesystem::path btf;  // raw BTF of its types; empty: the kernel is asked
};

// Opens pins and gives a source for each; the seam behind which a test needs no kernel.
class MapOpener {
 public:
  MapOpener() = default;
  MapOpener(const MapOpener&) = delete;
  MapOpener& operator=(const MapOpener&) = delete;
  virtual ~MapOpener() = default;

  // What came of one map of the manifest: a source; or that it cannot be shown, which is no
  // failure; or neither, when it is not wanted.
  struct Opened {
    std::unique_ptr<MapSource> source;
    std::string skipped_because;
    bool has_epoch = false;  // its object has the word that chooses between two buffers
  };
  [[nodiscard]] virtual tl::expected<Opened, traffic::Failure> open(const ManifestMap& map) = 0;
  // That it cannot be opened is no failure of ours: it is skipped.
  [[nodiscard]] virtual Opened open_other(const OtherPin& pin) = 0;
};

// Opens read-only what is not ours to empty, compares the kernel's map with the manifest, and the
// BTF file with its checksum. Needs read permission on the pin and on the file and no capability,
// from Linux 6.1 on.
class PinOpener final : public MapOpener {
 public:
  // `pin_dir` empty: the pins are where the manifest says. Else <pin_dir>/maps/<name>, for those
  // who see bpffs at another path than the loader did.
  // `rules` say how maps are shown, by name.
  explicit PinOpener(std::filesystem::path pin_dir, traffic::RulesByMap rules = {})
      : pin_dir_(std::move(pin_dir)), rules_(std::move(rules)) {}
  [[nodiscard]] tl::expected<Opened, traffic::Failure> open(const ManifestMap& map) override;
  // Asks the kernel for the map's BTF where the pin has no file of it, which wants CAP_SYS_ADMIN.
  [[nodiscard]] Opened open_other(const OtherPin& pin) override;

 private:
  [[nodiscard]] const traffic::MapRules& rules_of(const std::string& map) const;

  std::filesystem::path pin_dir_;
  traffic::RulesByMap rules_;
};

}  // namespace nfbpf::reader
