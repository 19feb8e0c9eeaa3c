// SPDX-License-Identifier: Apache-2.0
#include "reader/pinned_map.h"

#include <abi/nfbpf.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>
#include <cerrno>

#include "base/unique_fd.h"
#include "reader/batch_reader.h"
#include "reader/btf_file.h"
#include "reader/kernel_btf.h"
#include "reader/layout.h"

namespace nfbpf::reader {
namespace {

using traffic::ErrorClass;
using traffic::Failure;

tl::unexpected<Failure> refuse(ErrorClass kind, Error error) {
  return tl::unexpected(Failure{kind, std::move(error)});
}

// `absent` is the next step when there is no such pin.
Result<UniqueFd> open_pin(const std::string& path, const char* absent, bool writable = false) {
  LIBBPF_OPTS(bpf_obj_get_opts, opts);
  if (!writable) opts.file_flags = BPF_F_RDONLY;
  const int fd = bpf_obj_get_opts(path.c_str(), &opts);
  if (fd >= 0) return UniqueFd(fd);
  const std::string next = fd == -ENOENT   ? absent
                           : fd == -EACCES ? "; this user is not in the group of the pin"
                           : fd == -EPERM  ? "; the kernel asks for a capability to read maps"
                                           : "";
  auto error = fail_errno(fd, path + ": cannot open the pinned map");
  error.value().what += next;
  return error;
}

Result<bpf_map_info> info_of(const UniqueFd& fd, const std::string& path) {
  bpf_map_info info{};
  std::uint32_t length = sizeof(info);
  const int error = bpf_obj_get_info_by_fd(fd.get(), &info, &length);
  if (error != 0) return fail_errno(error, path + ": cannot ask for the map's shape");
  return info;
}

std::string type_text(std::uint32_t type) {
  const char* name = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(type));
  return name == nullptr ? std::to_string(type) : name;
}

// The manifest's word for a type is the kernel's number or bpftool's name.
bool same_type(const std::string& manifest, std::uint32_t type) {
  return manifest == std::to_string(type) || manifest == type_text(type);
}

// The first thing in which the kernel's map is not the one of the manifest; empty: it is.
std::string difference(const bpf_map_info& info, const ManifestMap& map) {
  const auto differs = [](const char* member, const std::string& has, const std::string& says) {
    return std::string(member) + " is " + has + ", the manifest says " + says;
  };
  if (!same_type(map.type, info.type)) return differs("type", type_text(info.type), map.type);
  struct Number {
    const char* member;
    std::uint32_t has;
    std::uint32_t says;
  };
  const Number numbers[] = {
      {"key_size", info.key_size, map.key_size},
      {"value_size", info.value_size, map.value_size},
      {"max_entries", info.max_entries, map.max_entries},
      {"btf_key_type_id", info.btf_key_type_id, map.key_type_id},
      {"btf_value_type_id", info.btf_value_type_id, map.value_type_id},
      {"id", info.id, map.id},
  };
  for (const auto& [member, has, says] : numbers)
    if (has != says) return differs(member, std::to_string(has), std::to_string(says));
  return {};
}

bool is_per_cpu(std::uint32_t type) {
  return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH ||
         type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

bool is_readable(std::uint32_t type) {
  return is_per_cpu(type) || type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LRU_HASH ||
         type == BPF_MAP_TYPE_ARRAY;
}

MapOpener::Opened skipped(std::string why) {
  return {nullptr, std::move(why)};
}

// Why there is nothing to show, whatever the BTF says; empty: there is.
std::string unreadable(const bpf_map_info& info, const std::string& map) {
  if (!is_readable(info.type))
    return "map " + map + ": type " + type_text(info.type) +
           " has no rows of counters; hash and array maps have";
  if (info.btf_key_type_id == 0 || info.btf_value_type_id == 0)
    return "map " + map + ": has no BTF for its key or value";
  return {};
}

tl::expected<MapOpener::Opened, Failure> source_of(UniqueFd fd, const bpf_map_info& info,
                                                   const MapTypes& types, const Btf& btf,
                                                   const traffic::MapRules& rules) {
  auto layout = decode_layout(btf, types, rules);
  if (!layout) return skipped(layout.error().what);
  const bool per_cpu = is_per_cpu(info.type);
  const int cpus = per_cpu ? libbpf_num_possible_cpus() : 1;
  if (cpus < 0)
    return refuse(ErrorClass::kRead, fail_errno(cpus, "cannot count the possible CPUs").value());
  const MapShape shape{info.max_entries, static_cast<std::uint32_t>(cpus), per_cpu};
  return MapOpener::Opened{
      std::make_unique<BatchReader>(std::make_unique<BpfMapCalls>(std::move(fd)),
                                    std::move(*layout), shape),
      {},
      has_epoch(btf)};
}

MapTypes types_of(const std::string& map, const bpf_map_info& info,
                  std::vector<std::string> hidden) {
  return {map,           info.btf_key_type_id, info.btf_value_type_id,
          info.key_size, info.value_size,      std::move(hidden)};
}

// A buffer has to be writable. One that may be noted is read-only to us where its pin is.
Result<UniqueFd> open_map(const std::string& path, const ManifestMap& map) {
  const char* absent = "; run nfbpf-load";
  auto fd = open_pin(path, absent, wants_to_write(map));
  if (fd || map.is_buffer || !wants_to_write(map)) return fd;
  return open_pin(path, absent);
}

// The map's types from the file that the configuration names, else from the kernel.
Result<Btf> btf_of(const OtherPin& pin, const bpf_map_info& info) {
  if (pin.btf.empty()) return kernel_btf(info.btf_id);
  const auto raw = read_btf_file(pin.btf);
  if (!raw) return tl::unexpected(raw.error());
  return Btf::parse(*raw, pin.btf.string());
}

}  // namespace

const traffic::MapRules& PinOpener::rules_of(const std::string& map) const {
  static const traffic::MapRules kNone;
  const auto found = rules_.find(map);
  return found == rules_.end() ? kNone : found->second;
}

MapOpener::Opened PinOpener::open_other(const OtherPin& pin) {
  const traffic::MapRules& rules = rules_of(pin.name);
  if (rules.drop) return Opened{};
  const std::string map = "map " + pin.name + ": ";
  auto fd = open_pin(pin.path.string(), "; is the tool that pins it running?");
  if (!fd) return skipped(map + fd.error().what);
  const auto info = info_of(*fd, pin.path.string());
  if (!info) return skipped(map + info.error().what);
  if (auto why = unreadable(*info, pin.name); !why.empty()) return skipped(std::move(why));
  const auto btf = btf_of(pin, *info);
  if (!btf) return skipped(map + btf.error().what);
  auto opened = source_of(std::move(*fd), *info, types_of(pin.name, *info, {}), *btf, rules);
  if (!opened) return skipped(map + opened.error().error.what);
  return std::move(*opened);
}

tl::expected<MapOpener::Opened, Failure> PinOpener::open(const ManifestMap& map) {
  // Two buffers are one table under the name of the first.
  const auto is_dropped = [this](const std::string& name) { return rules_of(name).drop; };
  if (is_dropped(map.second_of.empty() ? map.name : map.second_of)) return Opened{};
  const std::string path =
      pin_dir_.empty() ? map.pin : (pin_dir_ / NFBPF_PIN_MAPS / map.name).string();
  auto fd = open_map(path, map);
  if (!fd) return refuse(ErrorClass::kOpen, fd.error());
  const auto info = info_of(*fd, path);
  if (!info) return refuse(ErrorClass::kOpen, info.error());
  if (const std::string what = difference(*info, map); !what.empty())
    return refuse(ErrorClass::kLayout, Error{0, path + ": is not the map that nfbpf-load pinned: " +
                                                    what + "; detach and load again"});
  if (auto why = unreadable(*info, map.name); !why.empty()) return skipped(std::move(why));
  const auto raw = read_btf_file(map.btf, map.btf_sha256);
  if (!raw) return refuse(ErrorClass::kManifest, raw.error());
  const auto btf = Btf::parse(*raw, map.btf.string());
  if (!btf) return refuse(ErrorClass::kManifest, btf.error());
  if (is_state(*btf, info->btf_value_type_id)) return Opened{};
  const std::string& first =
      has_epoch(*btf) && map.second_of.empty() ? map.maybe_second_of : map.second_of;
  if (is_dropped(first)) return Opened{};
  return source_of(std::move(*fd), *info, types_of(map.name, *info, map.hidden), *btf,
                   rules_of(first.empty() ? map.name : first));
}

}  // namespace nfbpf::reader
