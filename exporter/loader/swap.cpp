// SPDX-License-Identifier: Apache-2.0
#include "loader/swap.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "abi/nfbpf.h"
#include "base/unique_fd.h"
#include "loader/kernel_module.h"
#include "loader/object.h"

namespace nfbpf::loader {
namespace fs = std::filesystem;
namespace {

constexpr const char* kPrevious = NFBPF_PIN_PREVIOUS;
// bpffs keeps names with a dot for itself.
constexpr const char* kNext = "program_next";

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
  const auto abi = read_module_file("version");
  if (!abi)
    return fail("the manifest says kmod, but module nfbpf is not loaded: nfbpf-load detach");
  if (std::atoi(abi->c_str()) != NFBPF_ABI_MAJOR) {
    return fail("module nfbpf speaks ABI " + *abi + ", nfbpf-load speaks " +
                std::to_string(NFBPF_ABI_MAJOR) +
                ": detach, install both from one release, attach");
  }
  return manifest;
}

// Who may read now may read afterwards.
Readers readers_of(const Manifest& manifest) {
  struct stat info {};
  if (manifest.maps.empty() || ::stat(manifest.maps.front().pin.c_str(), &info) != 0) return {};
  if ((info.st_mode & S_IRGRP) == 0) return {};
  return {info.st_gid};
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

// Exchanges two pins in one step, so that there is a program under the name at any time.
Result<void> exchange(const fs::path& a, const fs::path& b) {
  if (::syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), 2 /* RENAME_EXCHANGE */) ==
      0) {
    return {};
  }
  // bpffs learned to exchange after 5.10: three steps, and nobody looks at the name meanwhile
  // but us and the module, which holds its program by reference.
  const fs::path aside = a.string() + "_aside";
  if (::rename(a.c_str(), aside.c_str()) != 0) return fail_errno(errno, "rename " + a.string());
  if (::rename(b.c_str(), a.c_str()) != 0) {
    const int err = errno;
    ::rename(aside.c_str(), a.c_str());
    return fail_errno(err, "rename " + b.string());
  }
  if (::rename(aside.c_str(), b.c_str()) != 0) return fail_errno(errno, "rename " + aside.string());
  return {};
}

// Makes the pin `other` the current one and has the module take it; puts all back if it will not.
Result<void> change_to(const fs::path& pin_dir, const char* other) {
  const fs::path current = pin_dir / NFBPF_PIN_PROGRAM;
  if (auto ok = exchange(current, pin_dir / other); !ok) return ok;
  if (auto ok = tell_module(current); !ok) {
    if (auto back = exchange(current, pin_dir / other); !back) return back;
    return ok;
  }
  return {};
}

// Maps of the program before stay on the page: what they counted does not vanish with a swap.
std::vector<PinnedMap> all_maps(const std::vector<PinnedMap>& now,
                                const std::vector<PinnedMap>& before) {
  std::vector<PinnedMap> all = now;
  for (const PinnedMap& map : before) {
    const bool known = std::any_of(now.begin(), now.end(),
                                   [&](const PinnedMap& other) { return other.name == map.name; });
    if (!known) all.push_back(map);
  }
  return all;
}

Result<Manifest> write_down(Manifest manifest, const SwapOptions& options) {
  Undo undo;
  if (auto ok = write_manifest(manifest, options.run_dir, readers_of(manifest), undo); !ok) {
    undo.keep();  // the old manifest still stands: it is replaced by rename
    return tl::unexpected(ok.error());
  }
  undo.keep();
  return manifest;
}

}  // namespace

Result<Manifest> swap(const SwapOptions& options) {
  auto before = attached_by_module(options);
  if (!before) return before;
  Undo undo;
  auto object = LoadedObject::load({.file = options.file,
                                    .entry = Entry::kSocket,
                                    .pin_dir = options.pin_dir,
                                    .program_pin = kNext,
                                    .readers = readers_of(*before),
                                    .max_pairs = {},
                                    .count_loopback = before->count_loopback},
                                   undo);
  if (!object) return tl::unexpected(object.error());
  const auto program = object->program();
  if (!program) return tl::unexpected(program.error());
  if (auto ok = change_to(options.pin_dir, kNext); !ok) return tl::unexpected(ok.error());
  undo.keep();
  // The old program is pinned as "next" now. What was kept before it is let go.
  ::rename((options.pin_dir / kNext).c_str(), (options.pin_dir / kPrevious).c_str());

  Manifest after = *before;
  after.previous = PreviousProgram{before->program, before->object};
  after.program = *program;
  after.object = fs::absolute(options.file);
  after.maps = all_maps(object->maps(), before->maps);
  return write_down(std::move(after), options);
}

Result<Manifest> rollback(const SwapOptions& options) {
  auto manifest = attached_by_module(options);
  if (!manifest) return manifest;
  const fs::path previous = options.pin_dir / kPrevious;
  if (::access(previous.c_str(), F_OK) != 0 || !manifest->previous) {
    return fail("no program is kept at " + previous.string() +
                ": there was no swap since the attach");
  }
  if (auto ok = change_to(options.pin_dir, kPrevious); !ok) return tl::unexpected(ok.error());
  const PreviousProgram now = *manifest->previous;
  manifest->previous = PreviousProgram{manifest->program, manifest->object};
  manifest->program = now.program;
  manifest->object = now.object;
  return write_down(std::move(*manifest), options);
}

}  // namespace nfbpf::loader
