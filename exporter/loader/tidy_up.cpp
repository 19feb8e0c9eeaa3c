// SPDX-License-Identifier: Apache-2.0
#include "loader/tidy_up.h"

#include <bpf/bpf.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "abi/nfbpf.h"
#include "base/unique_fd.h"
#include "loader/bpffs.h"
#include "loader/kernel_module.h"
#include "loader/manifest.h"
#include "loader/map_layout.h"
#include "loader/object.h"
#include "loader/row_mover.h"
#include "loader/swap.h"
#include "loader/undo.h"
#include "loader/value_moves.h"

namespace nfbpf::loader {
namespace fs = std::filesystem;
namespace {

// Nothing: no program is pinned there.
Result<std::optional<bpf_prog_info>> pinned_program(const fs::path& pin, bpf_prog_info info = {}) {
  const UniqueFd fd(bpf_obj_get(pin.c_str()));
  if (!fd && errno == ENOENT) return std::nullopt;
  __u32 length = sizeof(info);
  if (!fd || bpf_obj_get_info_by_fd(fd.get(), &info, &length) != 0)
    return fail_errno(errno, "program pin " + pin.string());
  return info;
}

// Name of a pin -> id of the program there.
using ProgramPins = std::map<std::string, std::uint32_t>;

Result<ProgramPins> program_pins(const fs::path& pin_dir) {
  ProgramPins pins;
  for (const char* name : {NFBPF_PIN_PROGRAM, kPinAside, kPinNext, NFBPF_PIN_PREVIOUS, kPinSpare}) {
    const auto program = pinned_program(pin_dir / name);
    if (!program) return tl::unexpected(program.error());
    if (*program) pins.emplace(name, (*program)->id);
  }
  return pins;
}

// Nothing: no module runs one.
Result<std::optional<std::uint32_t>> running_program() {
  if (!module_is_loaded()) return std::nullopt;
  const auto text = read_module_file("program/id");
  if (!text) return tl::unexpected(text.error());
  return static_cast<std::uint32_t>(std::strtoul(text->c_str(), nullptr, 10));
}

Result<void> rename_pin(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    return fail_errno(errno, "rename " + from.string() + " to " + to.filename().string());
  return {};
}

Result<void> unpin(const fs::path& pin) {
  if (::unlink(pin.c_str()) != 0 && errno != ENOENT)
    return fail_errno(errno, "remove " + pin.string());
  return {};
}

// Gives the program its name, by renames alone: at no moment is any of them without a pin.
Result<void> name_program(const fs::path& pin_dir, std::uint32_t id, const char* name) {
  const auto pins = program_pins(pin_dir);
  if (!pins) return tl::unexpected(pins.error());
  const auto at = std::ranges::find(*pins, id, &ProgramPins::value_type::second);
  if (at == pins->end() || at->first == name) return {};
  if (pins->contains(name)) {
    if (auto ok = rename_pin(pin_dir / name, pin_dir / kPinSpare); !ok) return ok;
  }
  return rename_pin(pin_dir / at->first, pin_dir / name);
}

Result<void> settle_programs(const fs::path& pin_dir, std::uint32_t running,
                             std::optional<std::uint32_t> previous) {
  if (auto ok = name_program(pin_dir, running, NFBPF_PIN_PROGRAM); !ok) return ok;
  if (previous) {
    if (auto ok = name_program(pin_dir, *previous, NFBPF_PIN_PREVIOUS); !ok) return ok;
  }
  const auto kept = pinned_program(pin_dir / NFBPF_PIN_PREVIOUS);
  if (!kept) return tl::unexpected(kept.error());
  if (*kept && (!previous || (*kept)->id != *previous)) {
    if (auto ok = unpin(pin_dir / NFBPF_PIN_PREVIOUS); !ok) return ok;
  }
  for (const char* name : {kPinAside, kPinNext, kPinSpare}) {
    if (auto ok = unpin(pin_dir / name); !ok) return ok;
  }
  return {};
}

struct PinnedTypes {
  UniqueFd fd;
  bpf_map_info info{};
  Types types{nullptr, btf__free};
};

Result<PinnedTypes> open_pin(const fs::path& pin) {
  PinnedTypes map;
  map.fd.reset(bpf_obj_get(pin.c_str()));
  if (!map.fd) return fail_errno(errno, "map pin " + pin.string());
  const auto info = map_info(map.fd.get(), "map pin " + pin.string());
  if (!info) return tl::unexpected(info.error());
  map.info = *info;
  auto types = types_of_map(map.info, pin);
  if (!types) return tl::unexpected(types.error());
  map.types = std::move(*types);
  return map;
}

// The rows that the killed swap had not moved. It asked before whether members may be dropped.
Result<void> move_the_rest(const std::string& name, const fs::path& old_pin,
                           const fs::path& next_pin, const fs::path& progress) {
  const auto from = open_pin(old_pin);
  if (!from) return tl::unexpected(from.error());
  const auto to = open_pin(next_pin);
  if (!to) return tl::unexpected(to.error());
  if (is_state(to->types.get(), to->info.btf_value_type_id)) return {};
  auto moves = value_moves({from->types.get(), from->info.btf_value_type_id},
                           {to->types.get(), to->info.btf_value_type_id}, true);
  if (!moves) return tl::unexpected(moves.error());
  auto mover =
      RowMover::resume(from->fd.get(), to->fd.get(), std::move(*moves), "map " + name, progress);
  if (!mover) return tl::unexpected(mover.error());
  const auto homeless = mover->move();
  if (!homeless) return tl::unexpected(homeless.error());
  spdlog::warn("map {}: an earlier swap was killed while it moved the rows; the rest has moved now",
               name);
  if (*homeless > 0)
    spdlog::error("map {}: {} of the rows found no place; what they counted is lost", name,
                  *homeless);
  return {};
}

// A kernel whose bpffs cannot exchange pins does it in three steps, and that after the last row
// has moved. Of the two, the map that is used is the one that goes on.
Result<void> finish_exchange(const fs::path& pin_dir, const std::string& name) {
  const fs::path pin = pin_dir / NFBPF_PIN_MAPS / name;
  const fs::path aside = pin.string() + kAsideSuffix;
  if (::access(aside.c_str(), F_OK) != 0) return {};
  if (::access(pin.c_str(), F_OK) != 0) {
    const fs::path next = pin_dir / (kPinNextMap + name);
    const auto took = program_uses(pin_dir / NFBPF_PIN_PROGRAM, next);
    if (!took) return tl::unexpected(took.error());
    if (auto ok = rename_pin(*took ? next : aside, pin); !ok) return ok;
  }
  return unpin(aside);
}

Result<void> tidy_up_map(const fs::path& pin_dir, const std::string& name) {
  const fs::path pin = pin_dir / NFBPF_PIN_MAPS / name;
  const fs::path next = pin_dir / (kPinNextMap + name);
  const fs::path progress = pin_dir / (kPinProgress + name);
  if (auto ok = finish_exchange(pin_dir, name); !ok) return ok;
  const auto took = program_uses(pin_dir / NFBPF_PIN_PROGRAM, next);
  if (!took) return tl::unexpected(took.error());
  if (*took) {
    if (auto ok = move_the_rest(name, pin, next, progress); !ok) return ok;
    if (auto ok = rename_pin(next, pin); !ok) return ok;
  } else if (auto ok = unpin(next); !ok) {
    return ok;
  }
  return unpin(progress);
}

Result<void> tidy_up_maps(const fs::path& pin_dir) {
  std::set<std::string> names;
  std::error_code ec;
  for (fs::directory_iterator pin(pin_dir, ec), end; !ec && pin != end; pin.increment(ec)) {
    const std::string file = pin->path().filename();
    for (const std::string_view prefix : {kPinNextMap, kPinProgress})
      if (file.starts_with(prefix)) names.insert(file.substr(prefix.size()));
  }
  for (const std::string& name : names)
    if (auto ok = tidy_up_map(pin_dir, name); !ok) return ok;
  return {};
}

// The program whose pins and maps are to stay: the one that runs. With no module to ask, the pin
// tells; none is there where nothing was attached.
Result<std::optional<std::uint32_t>> program_to_keep(const fs::path& pin_dir) {
  const auto running = running_program();
  if (!running || *running) return running;
  const auto pinned = pinned_program(pin_dir / NFBPF_PIN_PROGRAM);
  if (!pinned) return tl::unexpected(pinned.error());
  return *pinned ? std::optional((*pinned)->id) : std::nullopt;
}

Result<void> commit_staged(const fs::path& run_dir) {
  Undo undo;
  if (auto ok = commit_manifest(run_dir, {}, undo); !ok) return ok;
  undo.keep();
  spdlog::warn(
      "an earlier swap was killed after the module had taken its program; the rest of it is done "
      "now");
  return {};
}

}  // namespace

Result<bool> program_uses(const fs::path& program_pin, const fs::path& map_pin) {
  std::array<__u32, 64> ids{};
  bpf_prog_info asked{};
  asked.nr_map_ids = ids.size();
  asked.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  const auto program = pinned_program(program_pin, asked);
  if (!program) return tl::unexpected(program.error());
  const UniqueFd map(bpf_obj_get(map_pin.c_str()));
  if (!map && errno != ENOENT) return fail_errno(errno, "map pin " + map_pin.string());
  if (!*program || !map) return false;
  const auto info = map_info(map.get(), "map pin " + map_pin.string());
  if (!info) return tl::unexpected(info.error());
  if ((*program)->nr_map_ids > ids.size())
    return fail("program pin " + program_pin.string() + " uses " +
                std::to_string((*program)->nr_map_ids) + " maps, the limit is " +
                std::to_string(ids.size()) + ": detach, then attach");
  return std::ranges::find(ids, info->id) != ids.end();
}

Result<void> tidy_up(const fs::path& pin_dir, const fs::path& run_dir) {
  const auto running = program_to_keep(pin_dir);
  if (!running) return tl::unexpected(running.error());
  const auto manifest = read_manifest(run_dir);
  const auto staged = read_staged(run_dir);
  const bool took = staged && *running && staged->program.id == **running;
  const Manifest* now = took ? &*staged : manifest ? &*manifest : nullptr;
  std::optional<std::uint32_t> previous;
  if (now != nullptr && now->previous) previous = now->previous->program.id;
  // What somebody else has had the module run is no swap of ours.
  if (*running && (now == nullptr || now->program.id == **running)) {
    if (auto ok = settle_programs(pin_dir, **running, previous); !ok) return ok;
  } else if (auto ok = unpin(pin_dir / kPinNext); !ok) {
    return ok;
  }
  if (auto ok = tidy_up_maps(pin_dir); !ok) return ok;
  if (took) return commit_staged(run_dir);
  drop_staged(run_dir);
  return {};
}

}  // namespace nfbpf::loader
