// SPDX-License-Identifier: Apache-2.0
// module-cycles: loads and unloads nfbpf N times, which insmod and rmmod do, too, but starting them
// takes several times as long under TCG as the work itself.
//
// Every other cycle stays loaded for some milliseconds and asks whether packets were met; the rest
// unloads at once. Prints how many of them met some. Ends with status 1 at the first refusal.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "base/unique_fd.h"

namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "nfbpf";
constexpr auto kStay = std::chrono::milliseconds(20);

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "module-cycles: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

void load(const char* file, const std::string& parameters) {
  const nfbpf::UniqueFd module(::open(file, O_RDONLY | O_CLOEXEC));
  if (!module) die(file);
  if (::syscall(SYS_finit_module, module.get(), parameters.c_str(), 0) != 0) die("load");
}

void unload() {
  if (::syscall(SYS_delete_module, kName, O_NONBLOCK) != 0) die("unload");
}

unsigned long long packets() {
  unsigned long long sum = 0;
  for (const auto& hook : fs::directory_iterator(fs::path("/sys/module") / kName / "hooks")) {
    unsigned long long count = 0;
    std::ifstream(hook.path() / "packets") >> count;
    sum += count;
  }
  return sum;
}

bool met_packets() {
  std::this_thread::sleep_for(kStay);
  return packets() != 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: module-cycles N FILE [PARAMETER=VALUE]...\n");
    return 1;
  }
  const long cycles = std::strtol(argv[1], nullptr, 10);
  std::string parameters;
  for (int i = 3; i < argc; ++i) parameters += std::string(i > 3 ? " " : "") + argv[i];
  long met = 0;
  for (long i = 0; i < cycles; ++i) {
    load(argv[2], parameters);
    if (i % 2 != 0 && met_packets()) ++met;
    unload();
  }
  std::printf("%ld\n", met);
  return 0;
}
