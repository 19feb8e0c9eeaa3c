// SPDX-License-Identifier: Apache-2.0
#include "loader/manifest.h"

#include <bpf/bpf.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "abi/nfbpf.h"
#include "base/unique_fd.h"
#include "loader/sha256.h"

namespace nfbpf::loader {
namespace fs = std::filesystem;
namespace {

constexpr const char* kStateFile = "state.json";
constexpr const char* kBtfDir = "btf";
constexpr const char* kSwapFile = "last_swap.json";

Result<std::vector<std::byte>> raw_btf(const PinnedMap& map) {
  if (map.btf_id == 0) return std::vector<std::byte>{};
  const UniqueFd fd(bpf_btf_get_fd_by_id(map.btf_id));
  if (!fd) return fail_errno(errno, "BTF " + std::to_string(map.btf_id) + " of map " + map.name);
  bpf_btf_info info{};
  __u32 length = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &length) != 0) {
    return fail_errno(errno, "size of the BTF of map " + map.name);
  }
  std::vector<std::byte> bytes(info.btf_size);
  info = {};
  info.btf = reinterpret_cast<std::uintptr_t>(bytes.data());
  info.btf_size = static_cast<__u32>(bytes.size());
  length = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &length) != 0) {
    return fail_errno(errno, "BTF of map " + map.name);
  }
  return bytes;
}

Result<void> write_part(const fs::path& part, std::string_view bytes, const Readers& readers) {
  errno = 0;
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) return fail_errno(errno != 0 ? errno : EIO, "write " + part.string());
  return let_read(part, readers);
}

fs::path part_of(const fs::path& path) {
  return path.string() + ".part";
}

// By rename: a reader never meets half a file, and a failure leaves what was there.
Result<void> replace_file(const fs::path& path, std::string_view bytes, const Readers& readers) {
  const fs::path part = part_of(path);
  auto ok = write_part(part, bytes, readers);
  if (ok && ::rename(part.c_str(), path.c_str()) != 0) {
    ok = fail_errno(errno, "rename " + part.string());
  }
  if (!ok) ::unlink(part.c_str());
  return ok;
}

std::optional<std::string> content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// What puts back the file that is there now, or none.
std::function<void()> as_it_is(const fs::path& path, const Readers& readers) {
  return [path, before = content_of(path), readers] {
    if (!before) {
      ::unlink(path.c_str());
    } else if (auto back = replace_file(path, *before, readers); !back) {
      spdlog::error("{}", back.error().what);
    }
  };
}

Result<void> write_file(const fs::path& path, std::string_view bytes, const Readers& readers,
                        Undo& undo) {
  auto back = as_it_is(path, readers);
  if (auto ok = replace_file(path, bytes, readers); !ok) return ok;
  undo.add(std::move(back));
  return {};
}

// A folder of someone else's would get our mode and owner.
Result<void> check_run_dir(const fs::path& dir) {
  std::error_code ec;
  for (fs::directory_iterator file(dir, ec), end; !ec && file != end; file.increment(ec)) {
    const std::string name = file->path().filename();
    if (name.starts_with(kStateFile) || name.starts_with(kSwapFile) || name == kBtfDir) continue;
    return fail("run directory " + dir.string() + " holds \"" + name +
                "\", which is not ours: give a folder of our own with --run-dir "
                "(default " NFBPF_RUN_DIR_DEFAULT ")");
  }
  return {};
}

Result<void> make_run_dir(const fs::path& dir, const Readers& readers, Undo& undo) {
  std::error_code ec;
  const bool made = fs::create_directories(dir, ec);
  if (ec) return fail_errno(ec.value(), "make " + dir.string());
  if (made) undo.add([dir] { ::rmdir(dir.c_str()); });
  return let_pass(dir, readers);
}

nlohmann::json json_of(const PinnedMap& map, const std::string& sha256) {
  return {{"name", map.name},
          {"pin", map.pin.string()},
          {"id", map.id},
          {"type", map.type},
          {"key_size", map.key_size},
          {"value_size", map.value_size},
          {"max_entries", map.max_entries},
          {"key_type_id", map.key_type_id},
          {"value_type_id", map.value_type_id},
          {"btf_id", map.btf_id},
          {"btf", sha256.empty() ? "" : std::string(kBtfDir) + "/" + sha256 + ".btf"},
          {"btf_sha256", sha256},
          {"hidden", map.hidden},
          {"second_of", map.second_of}};
}

nlohmann::json json_of(const ProgramInfo& program, const fs::path& object) {
  return {{"name", program.name},
          {"id", program.id},
          {"tag", program.tag},
          {"object", object.string()}};
}

nlohmann::json json_of(const Choices& choices) {
  return {{"key", key_words(choices)},
          {"ipv4_prefix", choices.ipv4_prefix},
          {"ipv6_prefix", choices.ipv6_prefix},
          {"sample_every", choices.sample_every},
          {"count_loopback", choices.count_loopback},
          {"filters", choices.filters}};
}

Result<Choices> choices_of(const nlohmann::json& json) {
  Choices choices{.ipv4_prefix = json.at("ipv4_prefix"),
                  .ipv6_prefix = json.at("ipv6_prefix"),
                  .sample_every = json.at("sample_every"),
                  .count_loopback = json.at("count_loopback"),
                  .filters = json.at("filters")};
  if (auto ok = choose_key(choices, json.at("key")); !ok) return tl::unexpected(ok.error());
  return choices;
}

nlohmann::json json_of(const Manifest& manifest) {
  nlohmann::json refused = nlohmann::json::array();
  for (const Refusal& refusal : manifest.refused) {
    refused.push_back({{"datapath", refusal.datapath}, {"reason", refusal.reason}});
  }
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  nlohmann::json state{{"abi", {{"major", NFBPF_ABI_MAJOR}, {"minor", NFBPF_ABI_MINOR}}},
                       {"datapath", manifest.datapath},
                       {"datapath_reason", manifest.datapath_reason},
                       {"refused", refused},
                       {"pin_dir", manifest.pin_dir.string()},
                       {"program", json_of(manifest.program, manifest.object)},
                       {"choices", json_of(manifest.choices)},
                       {"loaded_at", now.count()},
                       {"attached_at", manifest.attached_at},
                       {"accountable", manifest.accountable},
                       {"maps", nlohmann::json::array()}};
  state["program"]["object_sha256"] = manifest.object_sha256;
  if (manifest.previous) {
    state["previous"] = json_of(manifest.previous->program, manifest.previous->object);
  }
  return state;
}

ProgramInfo program_of(const nlohmann::json& json) {
  return {json.at("name"), json.at("id"), json.at("tag")};
}

PinnedMap map_of(const nlohmann::json& json) {
  return {.name = json.at("name"),
          .pin = json.at("pin").get<std::string>(),
          .id = json.at("id"),
          .type = json.at("type"),
          .key_size = json.at("key_size"),
          .value_size = json.at("value_size"),
          .max_entries = json.at("max_entries"),
          .key_type_id = json.at("key_type_id"),
          .value_type_id = json.at("value_type_id"),
          .btf_id = json.at("btf_id"),
          .hidden = json.at("hidden"),
          .second_of = json.at("second_of")};
}

Result<Manifest> parse_manifest(const fs::path& path) {
  std::ifstream file(path);
  if (!file) return fail_errno(errno, "read " + path.string());
  try {
    const auto state = nlohmann::json::parse(file);
    Manifest manifest;
    manifest.datapath = state.at("datapath");
    manifest.datapath_reason = state.at("datapath_reason");
    manifest.pin_dir = state.at("pin_dir").get<std::string>();
    manifest.object = state.at("program").at("object").get<std::string>();
    manifest.object_sha256 = state.at("program").value("object_sha256", "");
    manifest.program = program_of(state.at("program"));
    auto choices = choices_of(state.at("choices"));
    if (!choices) return tl::unexpected(choices.error());
    manifest.choices = *choices;
    manifest.attached_at = state.value("attached_at", 0.0);
    manifest.accountable = state.at("accountable");
    if (state.contains("previous")) {
      const auto& previous = state.at("previous");
      manifest.previous =
          PreviousProgram{program_of(previous), previous.at("object").get<std::string>()};
    }
    for (const auto& refusal : state.at("refused")) {
      manifest.refused.push_back({refusal.at("datapath"), refusal.at("reason")});
    }
    for (const auto& map : state.at("maps")) manifest.maps.push_back(map_of(map));
    return manifest;
  } catch (const std::exception& error) {
    return fail(path.string() + " is not a manifest of this release (" + error.what() +
                "): remove it and attach again");
  }
}

}  // namespace

Result<void> stage_manifest(const Manifest& manifest, const fs::path& run_dir,
                            const Readers& readers, Undo& undo) {
  if (auto ok = check_run_dir(run_dir); !ok) return ok;
  for (const fs::path& dir : {run_dir, run_dir / kBtfDir}) {
    if (auto ok = make_run_dir(dir, readers, undo); !ok) return ok;
  }
  nlohmann::json state = json_of(manifest);
  for (const PinnedMap& map : manifest.maps) {
    const auto bytes = raw_btf(map);
    if (!bytes) return tl::unexpected(bytes.error());
    const std::string sha256 = bytes->empty() ? "" : sha256_hex(*bytes);
    if (!sha256.empty()) {
      const fs::path file = run_dir / kBtfDir / (sha256 + ".btf");
      const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
      if (auto ok = write_file(file, text, readers, undo); !ok) return ok;
    }
    state["maps"].push_back(json_of(map, sha256));
  }
  const fs::path part = part_of(run_dir / kStateFile);
  undo.add([run_dir] { drop_staged(run_dir); });
  return write_part(part, state.dump(2) + "\n", readers);
}

Result<void> commit_manifest(const fs::path& run_dir, const Readers& readers, Undo& undo) {
  const fs::path path = run_dir / kStateFile;
  auto back = as_it_is(path, readers);
  if (::rename(part_of(path).c_str(), path.c_str()) != 0)
    return fail_errno(errno, "rename " + part_of(path).string());
  undo.add(std::move(back));
  return {};
}

std::optional<Manifest> read_staged(const fs::path& run_dir) {
  auto manifest = parse_manifest(part_of(run_dir / kStateFile));
  return manifest ? std::optional(std::move(*manifest)) : std::nullopt;
}

void drop_staged(const fs::path& run_dir) {
  ::unlink(part_of(run_dir / kStateFile).c_str());
}

Result<void> write_manifest(const Manifest& manifest, const fs::path& run_dir,
                            const Readers& readers, Undo& undo) {
  if (auto ok = stage_manifest(manifest, run_dir, readers, undo); !ok) return ok;
  return commit_manifest(run_dir, readers, undo);
}

Result<Manifest> read_manifest(const fs::path& run_dir) {
  return parse_manifest(run_dir / kStateFile);
}

Readers readers_of(const Manifest& manifest) {
  struct stat info {};
  if (manifest.maps.empty() || ::stat(manifest.maps.front().pin.c_str(), &info) != 0) return {};
  if ((info.st_mode & S_IRGRP) == 0) return {};
  return {info.st_gid};
}

void note_swap(const LastSwap& swap, const fs::path& run_dir, const Readers& readers) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  const nlohmann::json json{
      {"successful", swap.successful}, {"error", swap.error}, {"at", now.count()}};
  // What the verifier says may hold any byte.
  const std::string text = json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
  if (auto ok = replace_file(run_dir / kSwapFile, text + "\n", readers); !ok) {
    spdlog::warn("how this swap went is not noted: {}", ok.error().what);
  }
}

std::optional<LastSwap> read_last_swap(const fs::path& run_dir) {
  const auto text = content_of(run_dir / kSwapFile);
  if (!text) return std::nullopt;
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  try {
    return LastSwap{json.at("successful"), json.at("error")};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

void remove_manifest(const fs::path& run_dir) {
  std::error_code ec;
  for (const std::string file : {kStateFile, kSwapFile}) {
    ::unlink((run_dir / file).c_str());
    ::unlink((run_dir / (file + ".part")).c_str());  // of one that was killed
  }
  for (fs::directory_iterator file(run_dir / kBtfDir, ec), end; !ec && file != end;
       file.increment(ec)) {
    const std::string name = file->path().filename();
    if (name.ends_with(".btf") || name.ends_with(".btf.part")) ::unlink(file->path().c_str());
  }
  fs::remove(run_dir / kBtfDir, ec);
  fs::remove(run_dir, ec);  // if nothing else is in it
}

}  // namespace nfbpf::loader
