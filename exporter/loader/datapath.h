// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "loader/manifest.h"
#include "loader/series_pins.h"

namespace nfbpf::loader {

// Everything that the command line chooses for an attach.
struct AttachOptions {
  std::string datapath = "auto";  // auto, kmod, netfilter-link or pinned
  bool chosen_by_auto = false;    // an earlier `auto` chose it: what it cannot do is no error
  std::filesystem::path object_dir;
  std::string program = "traffic";  // a name in object_dir, or a path to a *.bpf.o
  std::optional<std::filesystem::path> module_file;
  std::string hooks, families, priority, log, netns;
  std::optional<std::uint32_t> max_pairs;
  std::uint32_t series_bytes = kSeriesBytesDefault;  // for what the exporter's series stand at
  Choices choices = default_choices();
  Readers readers;
  std::filesystem::path pin_dir, run_dir;
};

// Whether the words are such that attach() takes them, all but what is found when it loads.
[[nodiscard]] Result<void> check_options(const AttachOptions& options);

// Loads, pins and attaches. All or nothing: after an error nothing of ours is attached or pinned.
[[nodiscard]] Result<Manifest> attach(const AttachOptions& options);

// The object that a datapath runs with these options. `datapath` is not auto.
[[nodiscard]] std::filesystem::path object_of(const AttachOptions& options,
                                              std::string_view datapath);

// Whether the kernel takes that object with the maps that are pinned: loads it and lets it go.
[[nodiscard]] Result<void> try_load(const AttachOptions& options, std::string_view datapath);

struct DetachOptions {
  std::filesystem::path pin_dir, run_dir;
  bool keep_maps = false;  // so that a later attach counts on
};

// Takes away links, module, pins and manifest, whichever are there; a module that runs a program
// from elsewhere and is in no manifest of ours stays, with a warning. pin_dir is absolute. Returns
// what it took away, one word each; an empty list says that nothing was attached.
[[nodiscard]] Result<std::vector<std::string>> detach(const DetachOptions& options);

}  // namespace nfbpf::loader
