// SPDX-License-Identifier: Apache-2.0
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>

#include "confine/confine.h"

namespace nfbpf::confine {
namespace {

std::optional<unsigned> number_of(const std::string& text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

struct Ids {
  uid_t user = 0;
  gid_t group = 0;
};

Result<Ids> ids_of(const std::string& text) {
  const auto colon = text.find(':');
  const std::string user = text.substr(0, colon);
  const std::string group = colon == std::string::npos ? "" : text.substr(colon + 1);
  const auto refuse = [&](const char* what, const std::string& name) {
    return fail("--run-as " + text + ": there is no " + what + " \"" + name + "\" here");
  };
  Ids ids;
  if (const auto number = number_of(user)) {
    ids.user = ids.group = *number;
  } else {
    const passwd* entry = ::getpwnam(user.c_str());
    if (entry == nullptr) return refuse("user", user);
    ids.user = entry->pw_uid;
    ids.group = entry->pw_gid;
  }
  if (colon == std::string::npos) return ids;
  if (const auto number = number_of(group)) {
    ids.group = *number;
  } else {
    const struct group* entry = ::getgrnam(group.c_str());
    if (entry == nullptr) return refuse("group", group);
    ids.group = entry->gr_gid;
  }
  return ids;
}

// commit c8644cd0efe7 of Linux 5.19: looking at maps that one may read is for everybody.
bool maps_want_cap_bpf() {
  utsname names{};
  int major = 0;
  int minor = 0;
  if (::uname(&names) != 0 || std::sscanf(names.release, "%d.%d", &major, &minor) != 2)
    return false;
  return major < 5 || (major == 5 && minor < 19);
}

constexpr unsigned kCapBpf = 39;  // linux/capability.h since 5.8
constexpr unsigned kMostCaps = 64;

using Caps = std::array<__user_cap_data_struct, 2>;

Result<Caps> capabilities() {
  __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  Caps caps{};
  if (::syscall(SYS_capget, &head, caps.data()) != 0) return fail_errno(errno, "capget");
  return caps;
}

Result<void> set_capabilities(const Caps& caps) {
  __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  if (::syscall(SYS_capset, &head, caps.data()) != 0) return fail_errno(errno, "capset");
  return {};
}

// Only who may (CAP_SETPCAP) can; with no_new_privs it is one that no exec uses.
void empty_bounding_set() {
  for (unsigned cap = 0; cap < kMostCaps; ++cap)
    if (::prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1) (void)::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

}  // namespace

Result<void> become(const std::string& user_and_group) {
  const auto ids = ids_of(user_and_group);
  if (!ids) return tl::unexpected(ids.error());
  const std::string what = "--run-as " + user_and_group;
  empty_bounding_set();
  // Permitted ones outlive the change; drop_capabilities() takes them.
  if (maps_want_cap_bpf() && ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
    return fail_errno(errno, what);
  if (::setgroups(0, nullptr) != 0 || ::setresgid(ids->group, ids->group, ids->group) != 0 ||
      ::setresuid(ids->user, ids->user, ids->user) != 0)
    return fail_errno(errno, what + ": needs root");
  // After such a change /proc/self belongs to root, and process_* could not be read.
  (void)::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  return {};
}

Result<void> check_user(bool allowed) {
  if (allowed || ::geteuid() != 0) return {};
  return fail(
      "root is more than it needs: start it as a user of the group that nfbpf-load attach --group "
      "names, or with --run-as USER[:GROUP]; --allow-root if it must be");
}

Result<void> drop_capabilities(bool keep_all) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "no_new_privs");
  if (keep_all) return {};
  auto caps = capabilities();
  if (!caps) return tl::unexpected(caps.error());
  const std::uint32_t cap_bpf = 1U << (kCapBpf - 32);
  const bool keep = maps_want_cap_bpf() && ((*caps)[1].permitted & cap_bpf) != 0;
  empty_bounding_set();
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  Caps none{};
  if (keep) none[1].effective = none[1].permitted = cap_bpf;
  return set_capabilities(none);
}

}  // namespace nfbpf::confine
