// SPDX-License-Identifier: Apache-2.0
#include "loader/datapath.h"

#include <linux/netfilter_ipv4.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "abi/nfbpf.h"
#include "base/boot_time.h"
#include "loader/kernel_module.h"
#include "loader/netfilter_link.h"
#include "loader/object.h"
#include "loader/run_lock.h"
#include "loader/series_pins.h"
#include "loader/sha256.h"
#include "loader/swap.h"
#include "loader/tidy_up.h"

namespace nfbpf::loader {
namespace fs = std::filesystem;
namespace {

Result<int> priority_number(const std::string& text) {
  if (text == "first") return NF_IP_PRI_FIRST;
  if (text == "last") return NF_IP_PRI_LAST;
  int number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc() || end != text.data() + text.size()) {
    return fail("--priority: \"" + text + "\" is no priority; give first, last or a whole number");
  }
  return number;
}

fs::path object_file(const AttachOptions& options, Entry entry) {
  const std::string suffix = entry == Entry::kNetfilter ? "_netfilter" : "";
  const fs::path given = options.program;
  if (given.has_parent_path() || given.extension() == ".o") {
    std::string name = given.filename();
    const std::size_t dot = name.find(".bpf.o");
    if (entry == Entry::kSocket || name.substr(0, dot).ends_with(suffix)) return given;
    name.insert(dot == std::string::npos ? name.size() : dot, suffix);
    return given.parent_path() / name;
  }
  // The built-in program has a second object, for keys that hold more than most people want.
  const bool wide = options.program == "traffic" && options.choices.wide();
  return options.object_dir / (options.program + (wide ? "_flow" : "") + suffix + ".bpf.o");
}

// Only what is ours counts: another user of the bpffs is no reason to refuse.
Result<void> check_unattached(const AttachOptions& options) {
  if (module_is_loaded()) {
    return fail(
        "module nfbpf is loaded already: detach first (nfbpf-load detach), or, if it was not "
        "nfbpf-load that loaded it, rmmod nfbpf");
  }
  std::error_code ec;
  const fs::path program = options.pin_dir / NFBPF_PIN_PROGRAM;
  if (fs::exists(program, ec)) {
    return fail("a program is pinned at " + program.string() +
                " already: detach first (nfbpf-load detach)");
  }
  return {};
}

Result<LoadedObject> load(const AttachOptions& options, Entry entry, bool atomic_adds, Undo& undo,
                          const char* program_pin = NFBPF_PIN_PROGRAM) {
  return LoadedObject::load({.file = object_file(options, entry),
                             .entry = entry,
                             .pin_dir = options.pin_dir,
                             .program_pin = program_pin,
                             .readers = options.readers,
                             .max_pairs = options.max_pairs,
                             .choices = options.choices,
                             .atomic_adds = atomic_adds},
                            undo);
}

Result<void> attach_kmod(const LoadedObject& object, const AttachOptions& options, Undo& undo) {
  auto ok = insert_module({.file = options.module_file,
                           .bpf_path = object.program_pin(),
                           .hooks = options.hooks,
                           .families = options.families,
                           .priority = options.priority,
                           .log = options.log,
                           .netns = options.netns});
  if (!ok) return ok;
  undo.add([] {
    if (auto removed = remove_module(); !removed) spdlog::error("{}", removed.error().what);
  });
  return {};
}

// What was asked for and the link cannot do, each with what to do instead.
std::vector<std::string> beyond_the_link(const AttachOptions& options) {
  std::vector<std::string> wishes;
  if (options.hooks.find(':') != std::string::npos) {
    wishes.push_back("--hooks " + options.hooks +
                     ": only the module takes a priority for each hook; give one for all with "
                     "--priority, or use --datapath kmod");
  }
  if (options.log != "off") {
    wishes.push_back("--log " + options.log +
                     ": only the module writes log lines; leave --log out, or use --datapath kmod");
  }
  return wishes;
}

Result<void> attach_netfilter_link(const LoadedObject& object, const AttachOptions& options,
                                   Undo& undo) {
  const auto points = hook_points(options.hooks, options.families);
  if (!points) return tl::unexpected(points.error());
  const auto priority = priority_number(options.priority);
  if (!priority) return tl::unexpected(priority.error());
  for (const std::string& wish : beyond_the_link(options)) {
    spdlog::warn("the netfilter link goes on without {}", wish);
  }
  if (options.netns == "init") {
    spdlog::warn(
        "--netns init: a netfilter link sees the network namespace that nfbpf-load runs in, "
        "whichever that is");
  }
  return attach_links(object.program_fd(), *points, *priority, options.pin_dir / NFBPF_PIN_LINKS,
                      undo);
}

// For iptables -m bpf --object-pinned, or a module that is loaded by hand.
Result<void> attach_nothing(const LoadedObject&, const AttachOptions&, Undo&) {
  return {};
}

struct Datapath {
  std::string_view name;
  Entry entry;
  Result<void> (*attach)(const LoadedObject&, const AttachOptions&, Undo&);
  bool automatic;
  const char* merit;
};

// In the order in which `auto` tries those that it may try.
constexpr Datapath kDatapaths[] = {
    {"kmod", Entry::kSocket, attach_kmod, true, "the module counts in every network namespace"},
    {"netfilter-link", Entry::kNetfilter, attach_netfilter_link, true,
     "in-tree BPF netfilter link, this network namespace only"},
    {"pinned", Entry::kSocket, attach_nothing, false,
     "nothing runs it yet: give the pin to iptables -m bpf --object-pinned"},
};

Result<Manifest> attach_by(const Datapath& datapath, const AttachOptions& options, Undo& undo) {
  if (auto ok = make_pin_dirs(options.pin_dir, options.readers, undo); !ok) {
    return tl::unexpected(ok.error());
  }
  auto object = load(options, datapath.entry, datapath.name != "kmod", undo);
  if (!object) return tl::unexpected(object.error());
  if (object->has_buffers()) {
    if (object->maps_are_new()) remove_series_pins(options.pin_dir, false);  // of other maps
    auto ok = make_series_pins(options.pin_dir, options.series_bytes, options.readers, undo);
    if (!ok) return tl::unexpected(ok.error());
  }
  const auto program = object->program();
  if (!program) return tl::unexpected(program.error());
  if (auto ok = datapath.attach(*object, options, undo); !ok) return tl::unexpected(ok.error());
  return Manifest{.datapath = std::string(datapath.name),
                  .datapath_reason = datapath.merit,
                  .refused = {},
                  .pin_dir = options.pin_dir,
                  .object = fs::absolute(object_file(options, datapath.entry)),
                  .object_sha256 = sha256_of(object_file(options, datapath.entry)),
                  .program = *program,
                  .previous = {},
                  .attached_at = since_boot(),
                  .choices = options.choices,
                  .maps = object->maps(),
                  .accountable = datapath.name == "kmod" && object->maps_are_new() &&
                                 is_built_in(object_file(options, datapath.entry)) &&
                                 options.choices.sample_every == 1};
}

// The manifest is the last step: an exporter that sees it finds everything it names.
// `undo` holds the whole attach until then: maps that an earlier one left are not in it.
Result<Manifest> tell_readers(Manifest manifest, const AttachOptions& options, Undo& undo) {
  if (auto ok = write_manifest(manifest, options.run_dir, options.readers, undo); !ok) {
    return tl::unexpected(ok.error());
  }
  undo.keep();
  return manifest;
}

Result<std::vector<const Datapath*>> wanted_datapaths(const std::string& name) {
  std::vector<const Datapath*> wanted;
  for (const Datapath& datapath : kDatapaths) {
    if (name == datapath.name || (name == "auto" && datapath.automatic))
      wanted.push_back(&datapath);
  }
  if (wanted.empty()) {
    return fail("--datapath: \"" + name +
                "\" is unknown; give auto, kmod, netfilter-link or pinned");
  }
  return wanted;
}

std::string all_reasons(const std::vector<Refusal>& refused) {
  std::string text = "no datapath works here";
  for (const Refusal& refusal : refused) text += "; " + refusal.datapath + ": " + refusal.reason;
  return text;
}

// Removes the pins in `dir` whose names begin with `prefix`; returns whether there were any.
bool unpin_all(const fs::path& dir, std::string_view prefix = "") {
  bool any = false;
  std::error_code ec;
  for (fs::directory_iterator pin(dir, ec), end; !ec && pin != end; pin.increment(ec)) {
    if (!pin->path().filename().string().starts_with(prefix)) continue;
    any = ::unlink(pin->path().c_str()) == 0 || any;
  }
  return any;
}

// A module that somebody loaded with a program of their own is theirs to remove.
bool module_is_ours(const DetachOptions& options) {
  const auto manifest = read_manifest(options.run_dir);
  if (manifest && manifest->datapath == "kmod") return true;
  const auto path = read_module_file("parameters/bpf_path");
  const fs::path program = path ? *path : "";
  if (program.lexically_normal().parent_path() == options.pin_dir) return true;
  spdlog::warn(
      "module nfbpf stays loaded: it runs {}, which does not lie in {}, and no manifest in {} says "
      "kmod; if it is not needed, rmmod nfbpf",
      program.string(), options.pin_dir.string(), options.run_dir.string());
  return false;
}

Entry entry_of(std::string_view name) {
  const auto* datapath = std::ranges::find(kDatapaths, name, &Datapath::name);
  return datapath == std::end(kDatapaths) ? Entry::kSocket : datapath->entry;
}

}  // namespace

fs::path object_of(const AttachOptions& options, std::string_view datapath) {
  return object_file(options, entry_of(datapath));
}

Result<void> try_load(const AttachOptions& options, std::string_view datapath) {
  Undo undo;
  const auto object = load(options, entry_of(datapath), datapath != "kmod", undo, kPinNext);
  if (!object) return tl::unexpected(object.error());
  return {};
}

// What is wrong with the words is wrong for every datapath: say it once, before any try.
Result<void> check_options(const AttachOptions& options) {
  if (auto wanted = wanted_datapaths(options.datapath); !wanted) {
    return tl::unexpected(wanted.error());
  }
  if (options.module_file && !fs::exists(*options.module_file)) {
    return fail("--module: " + options.module_file->string() +
                " does not exist: build it (make -C kmod), or leave the option out");
  }
  if (auto points = hook_points(options.hooks, options.families); !points) {
    return tl::unexpected(points.error());
  }
  if (auto priority = priority_number(options.priority); !priority) {
    return tl::unexpected(priority.error());
  }
  if (options.datapath == "netfilter-link" && !options.chosen_by_auto) {
    const auto wishes = beyond_the_link(options);
    if (!wishes.empty()) return fail(wishes.front());
  }
  return {};
}

Result<Manifest> attach(const AttachOptions& options) {
  if (::geteuid() != 0) {
    return fail("nfbpf-load needs root to load programs and modules: run it with sudo");
  }
  const auto wanted = wanted_datapaths(options.datapath);
  if (!wanted) return tl::unexpected(wanted.error());
  if (auto ok = check_options(options); !ok) return tl::unexpected(ok.error());
  if (auto ok = check_pin_dir(options.pin_dir); !ok) return tl::unexpected(ok.error());
  const auto lock = RunLock::make_and_take(options.run_dir);
  if (!lock) return tl::unexpected(lock.error());
  if (auto ok = check_unattached(options); !ok) return tl::unexpected(ok.error());

  std::vector<Refusal> refused;
  for (const Datapath* datapath : *wanted) {
    Undo undo;
    auto manifest = attach_by(*datapath, options, undo);
    if (manifest) {
      manifest->refused = refused;
      return tell_readers(std::move(*manifest), options, undo);
    }
    if (wanted->size() == 1) return manifest;
    spdlog::warn("datapath {} not taken: {}", datapath->name, manifest.error().what);
    refused.push_back({std::string(datapath->name), manifest.error().what});
  }
  return fail(all_reasons(refused));
}

Result<std::vector<std::string>> detach(const DetachOptions& options) {
  if (::geteuid() != 0) return fail("nfbpf-load needs root to detach: run it with sudo");
  if (auto ok = check_pin_dir(options.pin_dir); !ok) return tl::unexpected(ok.error());
  const auto lock = RunLock::take(options.run_dir);
  if (!lock) return tl::unexpected(lock.error());
  std::vector<std::string> taken;
  // Rows that a killed swap left on their way belong to the maps that are kept.
  if (options.keep_maps)
    if (auto ok = tidy_up(options.pin_dir, options.run_dir); !ok) return tl::unexpected(ok.error());
  if (module_is_loaded() && module_is_ours(options)) {
    if (auto ok = remove_module(); !ok) return tl::unexpected(ok.error());
    taken.emplace_back("module");
  }
  if (unpin_all(options.pin_dir / NFBPF_PIN_LINKS)) taken.emplace_back("links");
  for (const char* left : {kPinNext, kPinAside, kPinSpare})
    ::unlink((options.pin_dir / left).c_str());
  unpin_all(options.pin_dir, kPinNextMap);
  unpin_all(options.pin_dir, kPinProgress);
  if (::unlink((options.pin_dir / NFBPF_PIN_PROGRAM).c_str()) == 0) taken.emplace_back("program");
  if (::unlink((options.pin_dir / NFBPF_PIN_PREVIOUS).c_str()) == 0) {
    taken.emplace_back("previous program");
  }
  // What speaks of the maps goes before they do: series that stand at what is in no map any more
  // would be told wrong.
  remove_series_pins(options.pin_dir, options.keep_maps);
  // Rules are no counters: an attach begins without any.
  unpin_all(options.pin_dir / NFBPF_PIN_MAPS, NFBPF_FILTER_PREFIX);
  if (!options.keep_maps && unpin_all(options.pin_dir / NFBPF_PIN_MAPS)) {
    taken.emplace_back("maps");
  }
  remove_pin_dirs(options.pin_dir);
  remove_manifest(options.run_dir);
  return taken;
}

}  // namespace nfbpf::loader
