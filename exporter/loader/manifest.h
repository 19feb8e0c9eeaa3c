// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "loader/bpffs.h"
#include "loader/object.h"
#include "loader/undo.h"

namespace nfbpf::loader {

// A datapath that `auto` tried before, and why it did not do.
struct Refusal {
  std::string datapath;
  std::string reason;
};

struct PreviousProgram {
  ProgramInfo program;
  std::filesystem::path object;
};

// What the unprivileged exporter needs to know and may not ask the kernel: run_dir/state.json,
// and the BTF of each map as run_dir/btf/SHA256.btf (the kernel gives BTF to CAP_SYS_ADMIN only).
struct Manifest {
  std::string datapath;
  std::string datapath_reason;
  std::vector<Refusal> refused;
  std::filesystem::path pin_dir;
  std::filesystem::path object;
  std::string object_sha256 = {};  // as it was when it was loaded; empty: not known
  ProgramInfo program;
  std::optional<PreviousProgram> previous;  // kept for a rollback
  double attached_at = 0;  // seconds since the machine started; a swap is no attach
  Choices choices;         // the next program gets the same
  std::vector<PinnedMap> maps;
  // The module runs the built-in program on every packet, and its maps began with the module: its
  // totals are to be what the maps hold.
  bool accountable = false;
};

// Writes the BTF files, then the manifest by rename, so that a reader sees an old or a new one.
// `undo` puts back the old one. A folder that holds anything else is refused and left as it is.
[[nodiscard]] Result<void> write_manifest(const Manifest& manifest,
                                          const std::filesystem::path& run_dir,
                                          const Readers& readers, Undo& undo);

// The same in two steps, for who changes what runs between them. A staged manifest tells of what is
// to come; should we be killed, tidy_up() knows by it what came. `undo` takes back each.
[[nodiscard]] Result<void> stage_manifest(const Manifest& manifest,
                                          const std::filesystem::path& run_dir,
                                          const Readers& readers, Undo& undo);
[[nodiscard]] Result<void> commit_manifest(const std::filesystem::path& run_dir,
                                           const Readers& readers, Undo& undo);

// Nothing: none is staged, or whoever wrote it was killed before its end.
[[nodiscard]] std::optional<Manifest> read_staged(const std::filesystem::path& run_dir);
void drop_staged(const std::filesystem::path& run_dir);

// No manifest is an error with code ENOENT.
[[nodiscard]] Result<Manifest> read_manifest(const std::filesystem::path& run_dir);

// Who may read what is pinned: whoever may now may after a change, too.
[[nodiscard]] Readers readers_of(const Manifest& manifest);

// How the last swap or rollback since the attach went: run_dir/last_swap.json. Not in the manifest,
// because a swap that was refused leaves that as it was, and a reader opens all anew when it
// changes.
struct LastSwap {
  bool successful = false;
  std::string error;  // what nfbpf-load said; empty when successful
};

// That it cannot be written is said in the log: the swap is what it is without.
void note_swap(const LastSwap& swap, const std::filesystem::path& run_dir, const Readers& readers);

// Nothing: there was none.
[[nodiscard]] std::optional<LastSwap> read_last_swap(const std::filesystem::path& run_dir);

// Removes what write_manifest makes, and the folders if nothing else is in them.
void remove_manifest(const std::filesystem::path& run_dir);

}  // namespace nfbpf::loader
