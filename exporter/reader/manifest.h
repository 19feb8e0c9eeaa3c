// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "traffic/snapshot.h"

namespace nfbpf::reader {

// One pinned map, as the loader wrote it down.
struct ManifestMap {
  std::string name;
  std::string pin;  // path in bpffs
  std::uint32_t id = 0;
  std::string type;  // "percpu_hash", as bpftool names it
  std::uint32_t key_size = 0;
  std::uint32_t value_size = 0;
  std::uint32_t max_entries = 0;
  std::uint32_t key_type_id = 0;
  std::uint32_t value_type_id = 0;
  std::filesystem::path btf;  // raw BTF, absolute
  std::string btf_sha256;     // hex, lower case
  // Of the second of two buffers (abi/nfbpf.h) the name of the first, where the program that runs
  // counts into the one that the epoch names.
  std::string second_of = {};
  // Else of a map NAME_b beside NAME, of the same object, the latter: buffers of a program before,
  // if that object has an epoch.
  std::string maybe_second_of = {};
  bool is_buffer = false;     // either of the two: it is ours to empty
  bool may_be_noted = false;  // NAME or NAME_b, and a note may say that it is to be emptied
  std::vector<std::string> hidden = {};  // members of the key that say nothing: no labels of theirs
};

// Where the pin lets us: of what may be noted that is no error.
[[nodiscard]] inline bool wants_to_write(const ManifestMap& map) {
  return map.is_buffer || map.may_be_noted;
}

// <run_dir>/state.json: what is loaded, for readers without the privilege to ask the kernel.
struct Manifest {
  std::uint32_t abi_major = 0;
  std::uint32_t abi_minor = 0;
  traffic::Origin origin;
  std::filesystem::path pin_dir;  // of the loader
  std::vector<ManifestMap> maps;
};

inline constexpr const char* kManifestFile = "state.json";
inline constexpr const char* kSwapFile = "last_swap.json";

// The class says what a caller may hope for: not loaded yet, unreadable, or another ABI.
using ManifestResult = tl::expected<Manifest, traffic::Failure>;
[[nodiscard]] ManifestResult read_manifest(const std::filesystem::path& run_dir);

// Whether the last swap of programs was taken, as nfbpf-load noted it beside the manifest. Nothing:
// there was none since the attach.
[[nodiscard]] std::optional<bool> last_swap_successful(const std::filesystem::path& run_dir);

// The parsing alone; `name` is for messages, `run_dir` is what relative paths are relative to.
[[nodiscard]] ManifestResult parse_manifest(const std::string& text, const std::string& name,
                                            const std::filesystem::path& run_dir);

}  // namespace nfbpf::reader
