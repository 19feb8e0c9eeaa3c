// SPDX-License-Identifier: Apache-2.0
// insmod-nth: loads a kernel module while one allocation, the N-th that the kernel makes for it,
// fails. insmod cannot do this: its own system calls would be counted. N = 0 lets none fail.
//
// Prints two words: "injected" or "untouched" (N was more than there are), and "loaded" or the name
// of the error, e.g. "injected ENOMEM". Exit 0 whatever the kernel answered, 1 if it was not asked.
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

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "insmod-nth: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

nfbpf::UniqueFd open_or_die(const char* path, int flags) {
  nfbpf::UniqueFd fd(::open(path, flags | O_CLOEXEC));
  if (!fd) die(path);
  return fd;
}

void fail_nth(int fd, const std::string& n) {
  if (::pwrite(fd, n.data(), n.size(), 0) != static_cast<ssize_t>(n.size())) die("arm " + n);
}

// Counts down to 0, at which the allocation failed.
unsigned long left(int fd) {
  std::array<char, 32> text{};
  if (::pread(fd, text.data(), text.size() - 1, 0) <= 0) die("read what is left");
  return std::strtoul(text.data(), nullptr, 10);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: insmod-nth N FILE [PARAMETER=VALUE]...\n");
    return 1;
  }
  const std::string n = argv[1];
  std::string parameters;
  for (int i = 3; i < argc; ++i) parameters += std::string(i > 3 ? " " : "") + argv[i];

  const auto module = open_or_die(argv[2], O_RDONLY);
  const auto counter = open_or_die("/proc/thread-self/fail-nth", O_RDWR);
  fail_nth(counter.get(), n);
  const long status = ::syscall(SYS_finit_module, module.get(), parameters.c_str(), 0);
  const int error = errno;
  const bool injected = n != "0" && left(counter.get()) == 0;
  fail_nth(counter.get(), "0");
  std::printf("%s %s\n", injected ? "injected" : "untouched",
              status == 0 ? "loaded" : ::strerrorname_np(error));
  return 0;
}
