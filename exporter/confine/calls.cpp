// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <memory>
#include <string_view>

#include "confine/confine.h"

namespace nfbpf::confine {
namespace {

// By what they are for. What a system has no number for, libseccomp leaves out.
constexpr const char* kAllowed[] = {
    // memory
    "brk",
    "munmap",
    "mremap",
    "madvise",
    // threads and locks
    "exit",
    "exit_group",
    "futex",
    "futex_waitv",
    "get_robust_list",
    "set_robust_list",
    "rseq",
    "gettid",
    "getpid",
    "sched_yield",
    "sched_getaffinity",
    "membarrier",
    "restart_syscall",
    // signals
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "sigaltstack",
    // time
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    // files that are open or are opened to be read
    "close",
    "read",
    "readv",
    "pread64",
    "write",
    "writev",
    "lseek",
    "fstat",
    "newfstatat",
    "stat",
    "lstat",
    "statx",
    "fstatfs",
    "statfs",
    "getdents64",
    "readlink",
    "readlinkat",
    "access",
    "faccessat",
    "faccessat2",
    "fcntl",
    "flock",  // one exporter keeps the series
    "getcwd",
    "fadvise64",
    // connections of sockets that listen already
    "accept",
    "accept4",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "recvfrom",
    "recvmsg",
    "sendto",
    "sendmsg",
    "shutdown",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    "bind",
    "connect",
    // what a process asks of itself
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getrusage",
    "sysinfo",
    "uname",
    "getrandom",
    "times",
};

constexpr int kBpfCommands[] = {
    BPF_OBJ_GET,          BPF_OBJ_GET_INFO_BY_FD,
    BPF_MAP_LOOKUP_ELEM,  BPF_MAP_GET_NEXT_KEY,
    BPF_MAP_LOOKUP_BATCH, BPF_MAP_UPDATE_ELEM,
    BPF_MAP_DELETE_ELEM,  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
    BPF_MAP_DELETE_BATCH,
};

constexpr std::uint64_t kNamespaces = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS |
                                      CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWUTS;
constexpr std::uint64_t kSocketType = 0xf;  // include/linux/net.h: SOCK_TYPE_MASK

class Filter {
 public:
  Filter() : filter_(seccomp_init(SCMP_ACT_ERRNO(EPERM)), seccomp_release) {}
  [[nodiscard]] bool ok() const { return filter_ != nullptr && error_ == 0; }
  [[nodiscard]] int error() const { return filter_ == nullptr ? ENOMEM : error_; }

  void attribute(scmp_filter_attr attribute, std::uint32_t value) {
    note(seccomp_attr_set(filter_.get(), attribute, value));
  }
  void allow(const char* name) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return;
    note(seccomp_rule_add_array(filter_.get(), SCMP_ACT_ALLOW, number, 0, nullptr));
  }
  // With all of the conditions.
  void allow(const char* name, std::initializer_list<scmp_arg_cmp> conditions) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return;
    note(seccomp_rule_add_array(filter_.get(), SCMP_ACT_ALLOW, number,
                                static_cast<unsigned>(conditions.size()), conditions.begin()));
  }
  void answer(const char* name, int error) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return;
    note(seccomp_rule_add_array(filter_.get(), SCMP_ACT_ERRNO(static_cast<unsigned>(error)), number,
                                0, nullptr));
  }
  void load() {
    if (ok()) note(seccomp_load(filter_.get()));
  }

 private:
  void note(int result) {
    if (result != 0 && error_ == 0) error_ = -result;
  }
  std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter_;
  int error_ = 0;
};

scmp_arg_cmp equals(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_EQ, value, 0};
}
scmp_arg_cmp masked(unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

}  // namespace

Result<void> restrict_calls(bool asks_for_types) {
  Filter filter;
  // All threads, those of the server among them.
  filter.attribute(SCMP_FLTATR_CTL_TSYNC, 1);
  for (const char* name : kAllowed) filter.allow(name);
  // No new code.
  filter.allow("mmap", {masked(2, PROT_EXEC, 0)});
  filter.allow("mprotect", {masked(2, PROT_EXEC, 0)});
  // Threads, no processes, no namespaces. What clone3 asks for lies in memory, where a filter
  // cannot look: glibc takes clone where it is not there.
  filter.allow("clone", {masked(0, CLONE_THREAD | kNamespaces, CLONE_THREAD)});
  filter.answer("clone3", ENOSYS);
  // abort() of itself, and nobody else of the same user.
  filter.allow("tgkill", {equals(0, static_cast<std::uint64_t>(::getpid()))});
  for (const char* name : {"openat", "open"}) {
    const unsigned flags = std::string_view(name) == "open" ? 1 : 2;
    filter.allow(name, {masked(flags, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)});
  }
  // Names of interfaces (rtnetlink), and sd_notify: datagrams, while who could be harmed by another
  // of its user, such as D-Bus and container engines, listens for streams.
  filter.allow("socket", {equals(0, AF_NETLINK), equals(2, NETLINK_ROUTE)});
  filter.allow("socket", {equals(0, AF_UNIX), masked(1, kSocketType, SOCK_DGRAM)});
  for (const int command : kBpfCommands)
    filter.allow("bpf", {equals(0, static_cast<std::uint64_t>(command))});
  if (asks_for_types) filter.allow("bpf", {equals(0, BPF_BTF_GET_FD_BY_ID)});
  for (const unsigned long request : {FIONBIO, FIONREAD})
    filter.allow("ioctl", {equals(1, request)});
  filter.allow("prctl", {equals(0, PR_SET_NAME)});
  // Asking for one's own limits, not setting them: the third argument is the new one.
  filter.allow("prlimit64", {equals(0, 0), equals(2, 0)});
  filter.allow("getrlimit");
  filter.load();
  if (!filter.ok())
    return fail_errno(filter.error(),
                      "seccomp: cannot restrict system calls; --no-sandbox runs without");
  return {};
}

}  // namespace nfbpf::confine
