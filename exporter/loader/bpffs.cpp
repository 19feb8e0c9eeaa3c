// SPDX-License-Identifier: Apache-2.0
#include "loader/bpffs.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>

#include "abi/nfbpf.h"

namespace nfbpf::loader {
namespace fs = std::filesystem;

Result<gid_t> group_id(const std::string& name) {
  gid_t number = 0;
  const auto [end, ec] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (ec == std::errc() && end == name.data() + name.size()) return number;
  if (const group* entry = ::getgrnam(name.c_str())) return entry->gr_gid;
  return fail("group \"" + name + "\" does not exist: make it (groupadd --system " + name +
              ") or give a number");
}

namespace {

// The nearest folder on the way up that exists.
fs::path existing_part(fs::path path) {
  std::error_code ec;
  while (!path.empty() && path != path.root_path() && !fs::exists(path, ec)) {
    path = path.parent_path();
  }
  return path.empty() ? fs::path("/") : path;
}

Result<void> check_bpffs(const fs::path& path, const fs::path& pin_dir) {
  struct statfs info {};
  if (::statfs(path.c_str(), &info) != 0) return fail_errno(errno, "statfs " + path.string());
  if (info.f_type != BPF_FS_MAGIC) {
    return fail("pin directory " + pin_dir.string() + ": " + path.string() +
                " is no bpf file system; mount one there (mount -t bpf bpf /sys/fs/bpf) or give "
                "another --pin-dir");
  }
  return {};
}

// Without symbolic links and dots, whether it exists or not.
fs::path real_path(const fs::path& path) {
  std::error_code ec;
  const fs::path real = fs::weakly_canonical(fs::absolute(path), ec);
  return ec ? path : real;
}

// Where the file system of `path`, which exists and is real, is mounted.
fs::path mount_root(fs::path path) {
  struct stat here {};
  struct stat above {};
  while (path.has_relative_path() && ::stat(path.c_str(), &here) == 0 &&
         ::stat(path.parent_path().c_str(), &above) == 0 && here.st_dev == above.st_dev) {
    path = path.parent_path();
  }
  return path;
}

Result<void> let_all_pass(const fs::path& dir) {
  struct stat info {};
  if (::stat(dir.c_str(), &info) != 0) return fail_errno(errno, "stat " + dir.string());
  if ((info.st_mode & S_IXOTH) != 0) return {};
  if (::chmod(dir.c_str(), (info.st_mode & 07777) | S_IXGRP | S_IXOTH) != 0) {
    return fail_errno(errno, "give search permission on " + dir.string() +
                                 ", without which the group does not reach its pins");
  }
  spdlog::info("{}: search permission given to all, so that the group reaches its pins",
               dir.string());
  return {};
}

// systemd mounts the bpffs 0700, which keeps every unprivileged reader out, whatever a pin's own
// mode says. Passing is not listing: others gain the names of nothing.
Result<void> open_the_way(const fs::path& pin_dir) {
  const fs::path last = existing_part(real_path(pin_dir).parent_path());
  const fs::path root = mount_root(last);
  for (fs::path dir = last;; dir = dir.parent_path()) {
    if (auto ok = let_all_pass(dir); !ok) return ok;
    if (dir == root) return {};
  }
}

Result<void> make_dir(const fs::path& dir, const Readers& readers, Undo& undo) {
  if (::mkdir(dir.c_str(), 0700) == 0) {
    undo.add([dir] { ::rmdir(dir.c_str()); });
  } else if (errno != EEXIST) {
    return fail_errno(errno, "mkdir " + dir.string());
  }
  return let_pass(dir, readers);
}

Result<void> give(const fs::path& path, const Readers& readers, mode_t with, mode_t without) {
  if (readers.group && ::chown(path.c_str(), 0, *readers.group) != 0) {
    return fail_errno(errno,
                      "chown " + path.string() + " to gid " + std::to_string(*readers.group));
  }
  if (::chmod(path.c_str(), readers.group ? with : without) != 0) {
    return fail_errno(errno, "chmod " + path.string());
  }
  return {};
}

}  // namespace

Result<void> let_read(const fs::path& path, const Readers& readers) {
  return give(path, readers, 0440, 0400);
}

Result<void> let_write(const fs::path& path, const Readers& readers) {
  return give(path, readers, 0660, 0600);
}

Result<void> let_pass(const fs::path& path, const Readers& readers) {
  return give(path, readers, 0750, 0700);
}

Result<void> check_pin_dir(const fs::path& pin_dir) {
  const fs::path real = real_path(pin_dir);
  struct statfs info {};
  if (::statfs(real.c_str(), &info) != 0 || info.f_type != BPF_FS_MAGIC ||
      mount_root(real) != real) {
    return {};
  }
  return fail("pin directory " + pin_dir.string() +
              " is the root of a bpf file system, which others use too: give a folder of our own "
              "in it with --pin-dir (default " NFBPF_PIN_DIR_DEFAULT ")");
}

Result<void> make_pin_dirs(const fs::path& pin_dir, const Readers& readers, Undo& undo) {
  if (auto ok = check_bpffs(existing_part(pin_dir), pin_dir); !ok) return ok;
  if (readers.group) {
    if (auto ok = open_the_way(pin_dir); !ok) return ok;
  }
  for (const fs::path& dir : {pin_dir, pin_dir / NFBPF_PIN_MAPS, pin_dir / NFBPF_PIN_LINKS}) {
    if (auto ok = make_dir(dir, readers, undo); !ok) return ok;
  }
  return {};
}

Result<void> exchange_pins(const fs::path& a, const fs::path& b) {
  if (::syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), 2 /* RENAME_EXCHANGE */) ==
      0) {
    return {};
  }
  // bpffs learned to exchange after 5.10: three steps. Who looks at the name meanwhile is the
  // module, which holds its program by reference, and an exporter, which tries again.
  const fs::path aside = a.string() + kAsideSuffix;
  if (::rename(a.c_str(), aside.c_str()) != 0) return fail_errno(errno, "rename " + a.string());
  if (::rename(b.c_str(), a.c_str()) != 0) {
    const int err = errno;
    ::rename(aside.c_str(), a.c_str());
    return fail_errno(err, "rename " + b.string());
  }
  if (::rename(aside.c_str(), b.c_str()) != 0) {
    const int err = errno;
    ::rename(a.c_str(), b.c_str());
    ::rename(aside.c_str(), a.c_str());
    return fail_errno(err, "rename " + aside.string());
  }
  return {};
}

void remove_pin_dirs(const fs::path& pin_dir) {
  for (const fs::path& dir : {pin_dir / NFBPF_PIN_LINKS, pin_dir / NFBPF_PIN_MAPS, pin_dir}) {
    ::rmdir(dir.c_str());
  }
}

}  // namespace nfbpf::loader
