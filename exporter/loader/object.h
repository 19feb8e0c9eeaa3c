// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "loader/bpffs.h"
#include "loader/choices.h"
#include "loader/row_mover.h"
#include "loader/undo.h"
#include "loader/value_moves.h"

namespace nfbpf::loader {

// How a program meets packets: run by the module (and by xt_bpf), or by the in-tree link.
enum class Entry { kSocket, kNetfilter };

struct ObjectOptions {
  std::filesystem::path file;
  Entry entry = Entry::kSocket;
  std::filesystem::path pin_dir;
  std::string program_pin;  // name in pin_dir
  Readers readers;
  std::optional<std::uint32_t> max_pairs;  // rows per address family; the object's own by default
  Choices choices;
  bool strict = true;  // a choice that the program does not know is an error
  // Whether a softirq can come between load and store of an add: only the module keeps BH off for
  // certain. The netfilter link does not, nor does nft_compat, which runs iptables-nft's matches.
  bool atomic_adds = false;
  // A pinned map whose value is another struct than the program's is replaced by a new one, and
  // its rows are moved there (see move_rows()); else it is refused.
  bool may_move_rows = false;
  bool may_drop_members = false;  // those that the new value lacks, with what they counted
};

// Pins in pin_dir of maps that are to take the place of one of the same name.
inline constexpr const char* kPinNextMap = "next_";
// And of how far their rows have moved: see RowMover.
inline constexpr const char* kPinProgress = "moved_";

// Whether a file is one of the objects of bpf/traffic.bpf.c, by its name.
[[nodiscard]] bool is_built_in(const std::filesystem::path& file);

// A map as the manifest tells of it. All sizes in bytes.
struct PinnedMap {
  std::string name;
  std::filesystem::path pin;
  std::uint32_t id, type, key_size, value_size, max_entries, key_type_id, value_type_id, btf_id;
  std::vector<std::string> hidden = {};  // labels that were not chosen: readers leave them out
  // Of the second of two buffers the name of the first (see abi/nfbpf.h). Empty also where the
  // program that runs has no two buffers, whatever the map was made for.
  std::string second_of = {};
};

struct ProgramInfo {
  std::string name;
  std::uint32_t id = 0;
  std::string tag;  // hex, of the instructions
};

// An object whose program is in the kernel and pinned, with its maps.
class LoadedObject {
 public:
  // Opens, checks, loads and pins. Pinned maps of the same layout are used again, so counters go
  // on; another layout under our pin name is refused. `undo` takes back what this call pinned.
  static Result<LoadedObject> load(const ObjectOptions& options, Undo& undo);

  [[nodiscard]] int program_fd() const;
  [[nodiscard]] const std::filesystem::path& program_pin() const { return program_pin_; }
  [[nodiscard]] const std::vector<PinnedMap>& maps() const { return maps_; }
  [[nodiscard]] Result<ProgramInfo> program() const;
  // To be called when the old program runs no more: moves the rows of maps whose value changed,
  // and gives the new maps the pins of the old ones. `undo` gives the pins back.
  Result<void> move_rows(Undo& undo);
  // Whether a reader may empty buffers: the program counts into one of two.
  [[nodiscard]] bool has_buffers() const;
  // Names of those maps.
  [[nodiscard]] std::vector<std::string> moved_maps() const;
  // Whether each of the maps was made by this load, and so holds nothing of before.
  [[nodiscard]] bool maps_are_new() const { return maps_are_new_; }

 private:
  struct Close {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
  };
  explicit LoadedObject(bpf_object* object) : object_(object) {}

  Result<void> prepare(const ObjectOptions& options);
  Result<void> pin(const ObjectOptions& options, Undo& undo);

  // A map whose value is another one than that of the map which is pinned under its name.
  struct Successor {
    UniqueFd old;
    std::vector<ValueMove> moves;
    bool transient = false;  // the program's own memory, which begins anew
    std::filesystem::path pin, next_pin, progress_pin;
    std::optional<RowMover> mover{};
  };

  Result<void> reuse_pinned(bpf_map* map, const std::filesystem::path& pin,
                            const ObjectOptions& options);
  Result<void> succeed(bpf_map* map, UniqueFd old, const bpf_map_info& info, const btf* old_types,
                       const std::filesystem::path& pin, const ObjectOptions& options);
  Result<void> pin_successor(const std::string& name, int map, Successor& successor, Undo& undo);

  std::unique_ptr<bpf_object, Close> object_;
  std::map<std::string, Successor> successors_;  // by map name
  std::filesystem::path program_pin_;
  std::vector<PinnedMap> maps_;
  bool maps_are_new_ = true;
  bool has_choices_ = false;  // the program knows `key_parts`
};

}  // namespace nfbpf::loader
