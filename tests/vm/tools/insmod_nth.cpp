// SPDX-License-Identifier: Apache-2.0
// insmod-nth: loads a kernel module again and again; the first time the first allocation that the
// kernel makes for it fails, then the second, ... until a load needs fewer. insmod cannot do this:
// its own system calls would be counted.
//
// Prints a line per load, e.g. "17 injected ENOMEM clean":
//   N            the number of the allocation
//   injected     it failed; "untouched": there was no such allocation, and this is the last line
//   ENOMEM       the kernel's answer, or "loaded"
//   clean        the module is not there (any more), else "left": the last line, too
// Exit 0 whatever the kernel answered, 1 if it was not asked.
//
// What counts as an allocation is set in /sys/kernel/debug/{failslab,fail_page_alloc}
// (Documentation/fault-injection/fault-injection.rst).
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/unique_fd.h"

namespace {

constexpr const char* kName = "nfbpf";
constexpr const char* kFolder = "/sys/module/nfbpf";

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "insmod-nth: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

nfbpf::UniqueFd open_or_die(const char* path, int flags) {
  nfbpf::UniqueFd fd(::open(path, flags | O_CLOEXEC));
  if (!fd) die(path);
  return fd;
}

// The counter of this thread: at 0 nothing fails, from N it counts down and fails at 0.
void arm(int counter, const std::string& n) {
  if (::pwrite(counter, n.data(), n.size(), 0) != static_cast<ssize_t>(n.size())) die("arm " + n);
}

unsigned long left(int counter) {
  std::array<char, 32> text{};
  if (::pread(counter, text.data(), text.size() - 1, 0) <= 0) die("read what is left");
  return std::strtoul(text.data(), nullptr, 10);
}

struct Answer {
  bool injected = false;
  int error = 0;
};

Answer load(int counter, unsigned n, const char* file, const std::string& parameters) {
  const auto module = open_or_die(file, O_RDONLY);
  arm(counter, std::to_string(n));
  const long status = ::syscall(SYS_finit_module, module.get(), parameters.c_str(), 0);
  Answer answer{.error = status == 0 ? 0 : errno};
  answer.injected = left(counter) == 0;
  arm(counter, "0");
  return answer;
}

bool unload() {
  ::syscall(SYS_delete_module, kName, O_NONBLOCK);
  return ::access(kFolder, F_OK) != 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: insmod-nth LAST FILE [PARAMETER=VALUE]...\n");
    return 1;
  }
  const unsigned long last = std::strtoul(argv[1], nullptr, 10);
  std::string parameters;
  for (int i = 3; i < argc; ++i) parameters += std::string(i > 3 ? " " : "") + argv[i];
  const auto counter = open_or_die("/proc/thread-self/fail-nth", O_RDWR);

  for (unsigned n = 1; n <= last; ++n) {
    const Answer answer = load(counter.get(), n, argv[2], parameters);
    const bool clean = answer.error == 0 ? unload() : ::access(kFolder, F_OK) != 0;
    std::printf("%u %s %s %s\n", n, answer.injected ? "injected" : "untouched",
                answer.error == 0 ? "loaded" : ::strerrorname_np(answer.error),
                clean ? "clean" : "left");
    std::fflush(stdout);
    if (!answer.injected || !clean) break;
  }
  return 0;
}
