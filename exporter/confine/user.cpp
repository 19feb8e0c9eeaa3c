// SPDX-License-Identifier: Apache-2.0
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
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
  std::string name;  // empty: a number that is nobody's, who is in no further group
};

Result<Ids> ids_of(const std::string& text) {
  const auto colon = text.find(':');
  const std::string user = text.substr(0, colon);
  const std::string group = colon == std::string::npos ? "" : text.substr(colon + 1);
  const auto refuse = [&](const char* what, const std::string& name) {
    return fail("--run-as " + text + ": there is no " + what + " \"" + name + "\" here");
  };
  Ids ids;
  const auto number = number_of(user);
  const passwd* entry = number ? ::getpwuid(*number) : ::getpwnam(user.c_str());
  if (entry != nullptr)
    ids = {entry->pw_uid, entry->pw_gid, entry->pw_name};
  else if (number)
    ids.user = ids.group = *number;
  else
    return refuse("user", user);
  if (colon == std::string::npos) return ids;
  if (const auto group_number = number_of(group)) {
    ids.group = *group_number;
  } else {
    const struct group* found = ::getgrnam(group.c_str());
    if (found == nullptr) return refuse("group", group);
    ids.group = found->gr_gid;
  }
  return ids;
}

Result<void> set_groups(const Ids& ids, const std::string& what) {
  const int failed =
      ids.name.empty() ? ::setgroups(0, nullptr) : ::initgroups(ids.name.c_str(), ids.group);
  if (failed != 0) return fail_errno(errno, what + ": needs root");
  return {};
}

// Asked of who has no capability. Linux before 5.19 (commit c8644cd0efe7) gives maps to CAP_BPF
// alone where kernel.unprivileged_bpf_disabled is set; so do the filters of container runtimes.
bool bpf_is_refused() {
  bpf_attr attributes{};
  attributes.pathname = reinterpret_cast<std::uintptr_t>("");
  return ::syscall(SYS_bpf, BPF_OBJ_GET, &attributes, sizeof(attributes)) < 0 && errno == EPERM;
}

constexpr unsigned kCapSysAdmin = CAP_SYS_ADMIN;
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
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return fail_errno(errno, what);
  if (auto ok = set_groups(*ids, what); !ok) return ok;
  if (::setresgid(ids->group, ids->group, ids->group) != 0 ||
      ::setresuid(ids->user, ids->user, ids->user) != 0)
    return fail_errno(errno, what + ": needs root");
  return {};
}

Result<void> check_user(bool allowed) {
  if (allowed || ::geteuid() != 0) return {};
  return fail(
      "root is more than it needs: start it as a user of the group that nfbpf-load attach --group "
      "names, or with --run-as USER[:GROUP]; --allow-root if it must be");
}

Result<void> drop_capabilities(bool asks_for_types) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "no_new_privs");
  // Others of the same user can neither trace it nor read its memory, where the TLS key is; nor is
  // that left in a core.
  if (!kSanitized && ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    return fail_errno(errno, "not dumpable");
  const auto before = capabilities();
  if (!before) return tl::unexpected(before.error());
  empty_bounding_set();
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  Caps kept{};
  const auto keep = [&](unsigned cap) {
    const std::uint32_t bit = 1U << (cap % 32);
    kept[cap / 32].permitted |= (*before)[cap / 32].permitted & bit;
  };
  keep(kCapBpf);
  if (asks_for_types) keep(kCapSysAdmin);
  if (auto ok = set_capabilities(kept); !ok) return ok;  // none is effective
  if (!bpf_is_refused()) kept[kCapBpf / 32].permitted &= ~(1U << (kCapBpf % 32));
  for (__user_cap_data_struct& word : kept) word.effective = word.permitted;
  return set_capabilities(kept);
}

}  // namespace nfbpf::confine
