// SPDX-License-Identifier: Apache-2.0
// Gives up what the exporter gives up, by the same calls, and then tries what it must not be able
// to. A line for each; status 1 if anything was let through, or if what it needs was refused.
//
//   confined READABLE_FOLDER PIN_TO_READ PIN_OF_OTHERS
//
// PIN_TO_READ: a hash of 4-byte keys that this user may read and not write. PIN_OF_OTHERS: none of
// its business.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "confine/confine.h"

namespace {

using namespace nfbpf;
int wrong = 0;

// `result`: of the call, negative when it failed with errno.
void must_fail(const char* what, long result) {
  const int error = errno;
  const bool refused = result < 0;
  std::printf("%s: %s%s%s\n", refused ? "ok" : "WRONG", what, refused ? ": " : ": was let through",
              refused ? std::strerror(error) : "");
  wrong += !refused;
}

void must_work(const char* what, long result) {
  std::printf("%s: %s%s%s\n", result >= 0 ? "ok" : "WRONG", what, result >= 0 ? "" : ": ",
              result >= 0 ? "" : std::strerror(errno));
  wrong += result < 0;
}

long load_program() {
  const bpf_insn program[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0},
                              {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "x", "GPL", program, 2, nullptr);
}

long run_a_program() {
  char name[] = "/bin/true";
  char* const arguments[] = {name, nullptr};
  return ::execve(name, arguments, nullptr);
}

long map_code() {
  void* at = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at == MAP_FAILED ? -1 : 0;
}

long make_code(void* page) {
  return ::mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return std::fprintf(stderr, "usage: confined FOLDER PIN PIN_OF_OTHERS\n"), 2;
  if (confine::kSanitized)
    return std::printf("skipped: built with a sanitizer, which the sandbox does not bear\n"), 77;
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (auto ok = confine::drop_capabilities(); !ok) return std::perror(ok.error().what.c_str()), 2;
  const auto landlock = confine::restrict_files({argv[1], "/sys/devices/system/cpu", "/proc/self"});
  must_work("memory is nobody's of the same user", ::prctl(PR_GET_DUMPABLE) == 0 ? 0 : -1);
  if (!landlock) return std::fprintf(stderr, "%s\n", landlock.error().what.c_str()), 2;
  // Threads that are there already are bound as well.
  std::atomic<bool> early_thread_may_go = false;
  std::thread early([&] {
    while (!early_thread_may_go) ::usleep(1000);
    must_fail("exec, on a thread of before", run_a_program());
  });
  if (auto ok = confine::restrict_calls(); !ok)
    return std::fprintf(stderr, "%s\n", ok.error().what.c_str()), 2;
  std::printf("Landlock ABI %d\n", *landlock);

  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("Cap") || line.starts_with("NoNewPrivs") || line.starts_with("Seccomp:"))
      std::printf("%s\n", line.c_str());

  // What it is there for.
  LIBBPF_OPTS(bpf_obj_get_opts, read_only, .file_flags = BPF_F_RDONLY);
  const UniqueFd readable(bpf_obj_get_opts(argv[2], &read_only));
  must_work("open a map to read", readable.get());
  std::uint32_t key = 0;
  char value[4096];
  must_work("read a map",
            bpf_map_lookup_elem(readable.get(), &key, value) == 0 || errno == ENOENT ? 0 : -1);
  must_work("open a file of its own",
            UniqueFd(::open((std::string(argv[1]) + "/file").c_str(), O_RDONLY)).get());
  std::thread([] {}).join();
  must_work("start a thread", 0);

  // And what it is not.
  rlimit limit{};
  LIBBPF_OPTS(bpf_obj_get_opts, read_write);
  must_fail("open a map to write that it may read", bpf_obj_get_opts(argv[2], &read_write));
  must_fail("write a map that is open to read",
            bpf_map_update_elem(readable.get(), &key, value, BPF_ANY));
  must_fail("open a map of others", bpf_obj_get_opts(argv[3], &read_only));
  must_fail("make a map", bpf_map_create(BPF_MAP_TYPE_ARRAY, "x", 4, 4, 1, nullptr));
  must_fail("load a program", load_program());
  must_fail("pin a map", bpf_obj_pin(readable.get(), (std::string(argv[2]) + "_x").c_str()));
  must_fail("exec", run_a_program());
  must_fail("fork", ::syscall(SYS_fork));
  must_fail("open /etc/shadow", ::open("/etc/shadow", O_RDONLY));
  if (*landlock > 0)
    must_fail("open /etc/passwd, which all may read", ::open("/etc/passwd", O_RDONLY));
  must_fail("write a file", ::open((std::string(argv[1]) + "/file").c_str(), O_WRONLY));
  must_fail("make a file", ::open("/tmp/nfbpf_confined", O_RDWR | O_CREAT, 0600));
  must_fail("make a folder", ::mkdir("/tmp/nfbpf_confined", 0700));
  must_fail("remove a file", ::unlink((std::string(argv[1]) + "/file").c_str()));
  must_fail("a connection to somewhere", ::socket(AF_INET, SOCK_STREAM, 0));
  must_fail("a packet socket", ::socket(AF_PACKET, SOCK_RAW, 0));
  must_fail("listen to more", ::listen(0, 1));
  must_fail("trace a process", ::ptrace(PTRACE_ATTACH, ::getppid(), nullptr, nullptr));
  must_fail("signal a process", ::kill(::getppid(), 0));
  must_fail("signal a thread of a process", ::syscall(SYS_tgkill, ::getppid(), ::getppid(), 0));
  must_work("signal itself", ::syscall(SYS_tgkill, ::getpid(), ::getpid(), 0));
  must_fail("limits of a process", ::prlimit(::getppid(), RLIMIT_CORE, nullptr, &limit));
  must_work("limits of its own", ::getrlimit(RLIMIT_CORE, &limit));
  must_fail("a stream to a daemon", ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  must_work("a datagram to one", UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)).get());
  must_fail("what the kernel audits", ::socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT));
  must_work("names of interfaces", UniqueFd(::socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)).get());
  must_fail("types of the kernel's maps", bpf_btf_get_fd_by_id(1));
  must_fail("mount", ::mount("x", "/mnt", "tmpfs", 0, nullptr));
  must_fail("a namespace", ::unshare(CLONE_NEWUSER));
  must_fail("become root", ::setuid(0));
  must_fail("memory with code", map_code());
  must_fail("make memory code", make_code(page));
  early_thread_may_go = true;
  early.join();
  return wrong == 0 ? 0 : 1;
}
