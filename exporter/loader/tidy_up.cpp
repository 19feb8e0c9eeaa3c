// SPDX-License-Identifier: Apache-2.0
#include "loader/tidy_up.h"

#include <bpf/bpf.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "abi/nfbpf.h"
#include "base/unique_fd.h"
#include "loader/kernel_module.h"
#include "loader/map_layout.h"
#include "loader/object.h"
#include "loader/row_mover.h"
#include "loader/swap.h"
#include "loader/value_moves.h"

namespace nfbpf::loader {
namespace fs = std::filesystem;
namespace {

// Empty where no program is pinned.
std::string program_id(const fs::path& pin) {
  const UniqueFd fd(bpf_obj_get(pin.c_str()));
  bpf_prog_info info{};
  __u32 length = sizeof(info);
  if (!fd || bpf_obj_get_info_by_fd(fd.get(), &info, &length) != 0) return {};
  return std::to_string(info.id);
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

Result<void> tidy_up_map(const fs::path& pin_dir, const std::string& name) {
  const fs::path pin = pin_dir / NFBPF_PIN_MAPS / name;
  const fs::path next = pin_dir / (kPinNextMap + name);
  const fs::path progress = pin_dir / (kPinProgress + name);
  if (program_uses(pin_dir / NFBPF_PIN_PROGRAM, next)) {
    if (auto ok = move_the_rest(name, pin, next, progress); !ok) return ok;
    if (::rename(next.c_str(), pin.c_str()) != 0)
      return fail_errno(errno, "rename " + next.string());
  } else if (::unlink(next.c_str()) != 0) {
    return fail_errno(errno, "remove " + next.string());
  }
  ::unlink(progress.c_str());
  return {};
}

Result<void> tidy_up_maps(const fs::path& pin_dir) {
  const std::string_view prefix = kPinNextMap;
  std::error_code ec;
  std::vector<std::string> left;
  for (fs::directory_iterator pin(pin_dir, ec), end; !ec && pin != end; pin.increment(ec)) {
    const std::string name = pin->path().filename();
    if (name.starts_with(prefix)) left.push_back(name.substr(prefix.size()));
  }
  for (const std::string& name : left)
    if (auto ok = tidy_up_map(pin_dir, name); !ok) return ok;
  return {};
}

}  // namespace

bool program_uses(const fs::path& program_pin, const fs::path& map_pin) {
  const UniqueFd program(bpf_obj_get(program_pin.c_str()));
  const UniqueFd map(bpf_obj_get(map_pin.c_str()));
  std::array<__u32, 64> ids{};
  bpf_prog_info info{};
  info.nr_map_ids = ids.size();
  info.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  bpf_map_info map_info{};
  __u32 length = sizeof(info);
  __u32 map_length = sizeof(map_info);
  return program && map && bpf_obj_get_info_by_fd(program.get(), &info, &length) == 0 &&
         bpf_obj_get_info_by_fd(map.get(), &map_info, &map_length) == 0 &&
         std::ranges::find(ids, map_info.id) != ids.end();
}

Result<void> tidy_up(const fs::path& pin_dir) {
  const fs::path current = pin_dir / NFBPF_PIN_PROGRAM;
  const auto running = read_module_file("program/id");
  for (const char* name : {kPinAside, kPinNext}) {
    const fs::path left = pin_dir / name;
    const std::string id = program_id(left);
    if (running && id == *running && program_id(current) != id) {
      if (::rename(left.c_str(), current.c_str()) != 0)
        return fail_errno(errno, "rename " + left.string());
    } else if (::unlink(left.c_str()) != 0 && errno != ENOENT) {
      return fail_errno(errno, "remove " + left.string());
    }
  }
  return tidy_up_maps(pin_dir);
}

}  // namespace nfbpf::loader
