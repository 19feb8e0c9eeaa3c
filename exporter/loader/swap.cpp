// SPDX-License-Identifier: Apache-2.0
#include "loader/swap.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "abi/nfbpf.h"
#include "base/unique_fd.h"
#include "loader/bpffs.h"
#include "loader/kernel_module.h"
#include "loader/object.h"
#include "loader/run_lock.h"
#include "loader/series_pins.h"
#include "loader/sha256.h"
#include "loader/tidy_up.h"
#include "loader/undo.h"

namespace nfbpf::loader {
namespace fs = std::filesystem;
namespace {

constexpr const char* kPrevious = NFBPF_PIN_PREVIOUS;

Result<Manifest> attached_by_module(const SwapOptions& options) {
  if (::geteuid() != 0) return fail("nfbpf-load needs root to swap programs: run it with sudo");
  auto manifest = read_manifest(options.run_dir);
  if (!manifest) {
    if (manifest.error().code == ENOENT) {
      return fail("nothing is attached, so there is nothing to swap: use nfbpf-load attach");
    }
    return manifest;
  }
  if (manifest->datapath != "kmod") {
    return fail(
        "datapath " + manifest->datapath +
        " cannot change its program while it runs: nfbpf-load detach --keep-maps, then attach");
  }
  if (!module_is_loaded())
    return fail("the manifest says kmod, but module nfbpf is not loaded: nfbpf-load detach");
  if (auto ok = check_module_abi(); !ok) return tl::unexpected(ok.error());
  if (auto ok = tidy_up(options.pin_dir, options.run_dir); !ok) return tl::unexpected(ok.error());
  return read_manifest(options.run_dir);
}

// The module resolves the path in our mount namespace, as we do.
Result<void> tell_module(const fs::path& pin) {
  const char* parameter = "/sys/module/nfbpf/parameters/bpf_path";
  const UniqueFd fd(::open(parameter, O_WRONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, std::string("open ") + parameter);
  if (::write(fd.get(), pin.c_str(), pin.native().size()) < 0) {
    const int err = errno;
    const auto reason = read_module_file("program/last_error");
    return fail_errno(err, "the module refused " + pin.string() + " (" +
                               (reason ? *reason : "no reason given") + ")");
  }
  return {};
}

// Makes the pin `other` the current one and has the module take it; puts all back if it will not.
Result<void> change(const fs::path& pin_dir, const char* other) {
  const fs::path current = pin_dir / NFBPF_PIN_PROGRAM;
  if (auto ok = exchange_pins(current, pin_dir / other); !ok) return ok;
  if (auto ok = tell_module(current); !ok) {
    if (auto back = exchange_pins(current, pin_dir / other); !back) return back;
    return ok;
  }
  return {};
}

// `undo` changes back.
Result<void> change_to(const fs::path& pin_dir, const char* other, Undo& undo) {
  if (auto ok = change(pin_dir, other); !ok) return ok;
  undo.add([pin_dir, other] {
    if (auto back = change(pin_dir, other); !back) {
      spdlog::error("the new program runs on, the old one cannot be put back: {}",
                    back.error().what);
    }
  });
  return {};
}

// Maps of the program before stay on the page: what they counted does not vanish with a swap.
std::vector<PinnedMap> all_maps(const std::vector<PinnedMap>& now,
                                const std::vector<PinnedMap>& before) {
  std::vector<PinnedMap> all = now;
  for (PinnedMap map : before) {
    const bool known = std::any_of(now.begin(), now.end(),
                                   [&](const PinnedMap& other) { return other.name == map.name; });
    if (known) continue;
    map.second_of.clear();  // the new program does not count into it
    all.push_back(std::move(map));
  }
  return all;
}

// Which maps are the second of two buffers that the program which is pinned there counts into.
Result<void> mark_buffers(Manifest& manifest, const fs::path& program) {
  const auto chooses = program_uses(program, manifest.pin_dir / NFBPF_PIN_MAPS / NFBPF_PIN_EPOCH);
  if (!chooses) return tl::unexpected(chooses.error());
  const std::string_view suffix = NFBPF_BUFFER_SUFFIX;
  for (PinnedMap& map : manifest.maps) {
    map.second_of.clear();
    if (!*chooses || !map.name.ends_with(suffix)) continue;
    const auto uses = program_uses(program, map.pin);
    if (!uses) return tl::unexpected(uses.error());
    const std::string first = map.name.substr(0, map.name.size() - suffix.size());
    const auto named = [&](const PinnedMap& other) { return other.name == first; };
    if (*uses && std::ranges::any_of(manifest.maps, named)) map.second_of = first;
  }
  return {};
}

// The manifest of what the module is told to run next lies beside the one in force meanwhile, so
// that whoever comes after a kill finds out which of the two is true.
Result<void> change_with_manifest(const Manifest& after, const SwapOptions& options,
                                  const char* other, LoadedObject* object, Undo& undo) {
  const Readers readers = readers_of(after);
  if (auto ok = stage_manifest(after, options.run_dir, readers, undo); !ok) return ok;
  if (auto ok = change_to(options.pin_dir, other, undo); !ok) return ok;
  if (object != nullptr) {
    if (auto ok = object->move_rows(undo); !ok) return ok;
  }
  return commit_manifest(options.run_dir, readers, undo);
}

Result<Manifest> swap_program(const SwapOptions& options, const Manifest& before) {
  Undo undo;
  auto object = LoadedObject::load({.file = options.file,
                                    .entry = Entry::kSocket,
                                    .pin_dir = options.pin_dir,
                                    .program_pin = kPinNext,
                                    .readers = readers_of(before),
                                    .max_pairs = {},
                                    .choices = before.choices,
                                    .strict = false,
                                    .may_move_rows = true,
                                    .may_drop_members = options.drop_members},
                                   undo);
  if (!object) return tl::unexpected(object.error());
  const auto program = object->program();
  if (!program) return tl::unexpected(program.error());
  const std::vector<std::string> moved = object->moved_maps();

  Manifest after = before;
  after.previous.reset();
  if (moved.empty()) after.previous = PreviousProgram{before.program, before.object};
  after.program = *program;
  after.object = fs::absolute(options.file);
  after.object_sha256 = sha256_of(options.file);
  after.accountable = before.accountable && is_built_in(options.file);
  after.maps = all_maps(object->maps(), before.maps);
  if (object->has_buffers()) {
    auto ok = make_series_pins(options.pin_dir, {}, readers_of(after), undo);
    if (!ok) return tl::unexpected(ok.error());
  }
  if (auto ok = change_with_manifest(after, options, kPinNext, &*object, undo); !ok) {
    return tl::unexpected(ok.error());
  }
  // The old program is pinned as "next" now. What was kept before it is let go, which cannot be
  // undone and is therefore the last step.
  const fs::path old = options.pin_dir / kPinNext;
  if (!moved.empty()) {
    undo.keep();
    ::unlink(old.c_str());
    ::unlink((options.pin_dir / kPrevious).c_str());
    for (const std::string& name : moved) {
      ::unlink((options.pin_dir / (kPinNextMap + name)).c_str());
      ::unlink((options.pin_dir / (kPinProgress + name)).c_str());
    }
    return after;
  }
  if (::rename(old.c_str(), (options.pin_dir / kPrevious).c_str()) != 0) {
    return fail_errno(errno, "rename " + old.string());
  }
  undo.keep();
  return after;
}

Result<Manifest> take_previous(const SwapOptions& options, Manifest manifest) {
  const fs::path previous = options.pin_dir / kPrevious;
  if (::access(previous.c_str(), F_OK) != 0 || !manifest.previous) {
    return fail("no program is kept at " + previous.string() +
                ": there was no swap since the attach, or it moved rows to another layout; then "
                "nfbpf-load swap --drop-members goes back");
  }
  const PreviousProgram now = *manifest.previous;
  manifest.previous = PreviousProgram{manifest.program, manifest.object};
  manifest.program = now.program;
  manifest.object = now.object;
  manifest.object_sha256.clear();
  manifest.accountable = manifest.accountable && is_built_in(now.object);
  if (auto ok = mark_buffers(manifest, previous); !ok) return tl::unexpected(ok.error());
  Undo undo;
  if (auto ok = change_with_manifest(manifest, options, kPrevious, nullptr, undo); !ok) {
    return tl::unexpected(ok.error());
  }
  undo.keep();
  return manifest;
}

// One at a time, and how it went is noted where there was a program to replace.
template <typename Change>
Result<Manifest> changed(const SwapOptions& options, Change change) {
  const auto lock = RunLock::take(options.run_dir);
  if (!lock) return tl::unexpected(lock.error());
  auto before = attached_by_module(options);
  if (!before) return before;
  auto after = change(options, *before);
  note_swap({after.has_value(), after ? "" : after.error().what}, options.run_dir,
            readers_of(*before));
  return after;
}

}  // namespace

Result<Manifest> swap(const SwapOptions& options) {
  return changed(options, swap_program);
}

Result<Manifest> rollback(const SwapOptions& options) {
  return changed(options, take_previous);
}

}  // namespace nfbpf::loader
