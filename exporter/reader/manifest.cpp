// SPDX-License-Identifier: Apache-2.0
#include "reader/manifest.h"

#include <abi/nfbpf.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace nfbpf::reader {
namespace {

using nlohmann::json;
using traffic::ErrorClass;

tl::unexpected<traffic::Failure> refuse(ErrorClass kind, std::string what, int code = 0) {
  return tl::unexpected(traffic::Failure{kind, Error{code, std::move(what)}});
}

// Ids are numbers in the kernel and text in a label; a writer may choose either.
std::string as_text(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string text_or_empty(const json& object, const char* key) {
  return object.contains(key) && !object.at(key).is_null() ? as_text(object.at(key)) : "";
}

ManifestMap map_of(const json& entry, const std::filesystem::path& run_dir) {
  ManifestMap map;
  map.name = entry.at("name").get<std::string>();
  map.pin = entry.at("pin").get<std::string>();
  map.id = entry.at("id").get<std::uint32_t>();
  map.type = as_text(entry.at("type"));
  map.key_size = entry.at("key_size").get<std::uint32_t>();
  map.value_size = entry.at("value_size").get<std::uint32_t>();
  map.max_entries = entry.at("max_entries").get<std::uint32_t>();
  map.key_type_id = entry.at("key_type_id").get<std::uint32_t>();
  map.value_type_id = entry.at("value_type_id").get<std::uint32_t>();
  map.btf = run_dir / text_or_empty(entry, "btf");
  map.btf_sha256 = text_or_empty(entry, "btf_sha256");
  map.second_of = text_or_empty(entry, "second_of");
  if (entry.contains("hidden")) map.hidden = entry.at("hidden").get<std::vector<std::string>>();
  return map;
}

// What speaks for the datapath, and against those that were tried before it.
std::string why(const json& state) {
  std::string reason = text_or_empty(state, "datapath_reason");
  if (!state.contains("refused")) return reason;
  for (const json& refusal : state.at("refused"))
    reason +=
        "; not " + text_or_empty(refusal, "datapath") + ": " + text_or_empty(refusal, "reason");
  return reason;
}

traffic::Origin origin_of(const json& state, const Manifest& manifest) {
  traffic::Origin origin;
  origin.datapath = {text_or_empty(state, "datapath"), why(state)};
  const json& program = state.at("program");
  origin.program = {text_or_empty(program, "name"), text_or_empty(program, "id"),
                    text_or_empty(program, "tag"), text_or_empty(program, "object"),
                    std::to_string(manifest.abi_major) + "." + std::to_string(manifest.abi_minor)};
  origin.loaded_at = state.value("loaded_at", 0.0);
  origin.attached_at = state.value("attached_at", 0.0);
  origin.accountable = state.value("accountable", false);
  if (state.contains("choices"))
    origin.sample_every = state.at("choices").value("sample_every", std::uint64_t{0});
  return origin;
}

const ManifestMap* named(const std::vector<ManifestMap>& maps, const std::string& name) {
  const auto found = std::ranges::find(maps, name, &ManifestMap::name);
  return found == maps.end() ? nullptr : &*found;
}

void mark_buffers(std::vector<ManifestMap>& maps) {
  const std::string_view suffix = NFBPF_BUFFER_SUFFIX;
  for (ManifestMap& map : maps) {
    map.is_buffer = !map.second_of.empty() ||
                    std::ranges::find(maps, map.name, &ManifestMap::second_of) != maps.end();
    map.may_be_noted |= named(maps, map.name + NFBPF_BUFFER_SUFFIX) != nullptr;
    if (!map.name.ends_with(suffix)) continue;
    const auto* first = named(maps, map.name.substr(0, map.name.size() - suffix.size()));
    if (first == nullptr) continue;
    map.may_be_noted = true;
    const bool same_object = !map.btf_sha256.empty() && map.btf_sha256 == first->btf_sha256;
    if (map.second_of.empty() && same_object) map.maybe_second_of = first->name;
  }
}

Manifest manifest_of(const json& state, const std::filesystem::path& run_dir) {
  Manifest manifest;
  manifest.abi_major = state.at("abi").at("major").get<std::uint32_t>();
  manifest.abi_minor = state.at("abi").at("minor").get<std::uint32_t>();
  // Another ABI may name everything below differently: what follows is not for us to read.
  if (manifest.abi_major != NFBPF_ABI_MAJOR) return manifest;
  manifest.origin = origin_of(state, manifest);
  manifest.pin_dir = text_or_empty(state, "pin_dir");
  for (const json& entry : state.at("maps")) {
    // Rules are no counters.
    if (text_or_empty(entry, "name").starts_with(NFBPF_FILTER_PREFIX)) continue;
    if (!text_or_empty(entry, "pin").empty()) manifest.maps.push_back(map_of(entry, run_dir));
  }
  mark_buffers(manifest.maps);
  return manifest;
}

}  // namespace

ManifestResult parse_manifest(const std::string& text, const std::string& name,
                              const std::filesystem::path& run_dir) {
  Manifest manifest;
  try {
    manifest = manifest_of(json::parse(text), run_dir);
  } catch (const json::exception& e) {
    return refuse(ErrorClass::kManifest, name + ": is not what nfbpf-load writes: " + e.what() +
                                             "; load again with the same version");
  }
  if (manifest.abi_major != NFBPF_ABI_MAJOR)
    return refuse(ErrorClass::kAbi, name + ": ABI major " + std::to_string(manifest.abi_major) +
                                        " was loaded, this exporter reads ABI major " +
                                        std::to_string(NFBPF_ABI_MAJOR) +
                                        "; load again with the nfbpf-load of this version");
  return manifest;
}

ManifestResult read_manifest(const std::filesystem::path& run_dir) {
  const std::filesystem::path path = run_dir / kManifestFile;
  errno = 0;
  const std::ifstream file(path);
  if (!file) {
    const int code = errno;
    const std::string next = code == ENOENT ? "nothing is loaded; run nfbpf-load"
                                            : std::generic_category().message(code);
    return refuse(code == ENOENT ? ErrorClass::kNotLoaded : ErrorClass::kManifest,
                  path.string() + ": " + next, code);
  }
  std::ostringstream text;
  text << file.rdbuf();
  return parse_manifest(text.str(), path.string(), run_dir);
}

std::optional<bool> last_swap_successful(const std::filesystem::path& run_dir) {
  std::ifstream file(run_dir / kSwapFile);
  if (!file) return std::nullopt;
  const auto json = json::parse(file, nullptr, false);
  const auto successful = json.is_object() ? json.find("successful") : json.end();
  if (successful == json.end() || !successful->is_boolean()) return std::nullopt;
  return successful->get<bool>();
}

}  // namespace nfbpf::reader
