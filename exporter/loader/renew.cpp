// SPDX-License-Identifier: Apache-2.0
#include "loader/renew.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>

#include "loader/kernel_module.h"
#include "loader/run_lock.h"
#include "loader/sha256.h"
#include "loader/swap.h"
#include "loader/tidy_up.h"

namespace nfbpf::loader {
namespace {

Result<void> same_place(const Manifest& before, const AttachOptions& options) {
  if (before.pin_dir != options.pin_dir) {
    return fail("what is attached has its pins in " + before.pin_dir.string() + ", not in " +
                options.pin_dir.string() + ": give that --pin-dir, or detach first");
  }
  if (options.datapath != "auto" && options.datapath != before.datapath) {
    return fail("--datapath " + options.datapath + ": " + before.datapath +
                " is attached, and --renew leaves the datapath as it is: detach first, or give "
                "--datapath auto");
  }
  return {};
}

// The same maps, and what cannot be had with them.
AttachOptions as_attached(const Manifest& before, AttachOptions options) {
  options.chosen_by_auto = options.datapath == "auto";
  options.datapath = before.datapath;
  if (!options.readers.group) options.readers = readers_of(before);
  if (!(options.choices == before.choices)) {
    spdlog::warn(
        "--renew goes on with the choices of the attach (--key {} and those with it): detach and "
        "attach for others",
        key_words(before.choices));
    options.choices = before.choices;
  }
  return options;
}

Result<Manifest> attach_anew(const AttachOptions& options) {
  // Whatever can be found out is, before anything is taken away.
  if (auto ok = check_options(options); !ok) return tl::unexpected(ok.error());
  if (auto ok = try_load(options, options.datapath); !ok) return tl::unexpected(ok.error());
  const auto taken =
      detach({.pin_dir = options.pin_dir, .run_dir = options.run_dir, .keep_maps = true});
  if (!taken) return tl::unexpected(taken.error());
  auto attached = attach(options);
  if (attached) return attached;
  return fail(attached.error().what +
              "; nothing counts now, and what was counted is kept: mend that, then nfbpf-load "
              "attach with the same options goes on with it");
}

// A swap that was killed is completed or taken back first: what runs decides what there is to do.
Result<Manifest> read_settled(const AttachOptions& options) {
  const auto lock = RunLock::take(options.run_dir);
  if (!lock) return tl::unexpected(lock.error());
  auto manifest = read_manifest(options.run_dir);
  if (!manifest || manifest->pin_dir != options.pin_dir || !module_is_loaded()) return manifest;
  if (auto ok = tidy_up(options.pin_dir, options.run_dir); !ok) return tl::unexpected(ok.error());
  return read_manifest(options.run_dir);
}

}  // namespace

Result<Manifest> renew(const AttachOptions& options, std::string& how) {
  if (::geteuid() != 0) return fail("nfbpf-load needs root to change programs: run it with sudo");
  auto before = read_settled(options);
  if (!before) {
    if (before.error().code != ENOENT) return before;
    how = "attached";
    return attach(options);
  }
  if (auto ok = same_place(*before, options); !ok) return tl::unexpected(ok.error());
  const AttachOptions same = as_attached(*before, options);
  const bool module_runs = before->datapath == "kmod" && module_is_loaded();
  if (module_runs) {
    if (auto ok = check_module_abi(); !ok) return tl::unexpected(ok.error());
  }
  const bool runs = module_runs || before->datapath != "kmod";
  const auto object = object_of(same, same.datapath);
  if (runs && !before->object_sha256.empty() && sha256_of(object) == before->object_sha256) {
    how = "unchanged";
    return before;
  }
  if (before->datapath == "pinned") {
    return fail("datapath pinned: only those who run " + before->pin_dir.string() +
                "/program know how to change it: detach, then attach");
  }
  how = "renewed";
  return module_runs
             ? swap({.file = object, .pin_dir = options.pin_dir, .run_dir = options.run_dir})
             : attach_anew(same);
}

}  // namespace nfbpf::loader
