// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace {

// What is not accepted for want of something stays to be accepted, and poll(2) says so at once.
bool is_short_of(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

void say_so(int error) {
  using std::chrono::steady_clock;
  static steady_clock::time_point said;  // civetweb accepts on one thread
  const auto now = steady_clock::now();
  if (said != steady_clock::time_point{} && now - said < std::chrono::minutes(1)) return;
  said = now;
  rlimit limit{};
  (void)::getrlimit(RLIMIT_NOFILE, &limit);
  spdlog::warn("cannot take another connection: {}; RLIMIT_NOFILE is {}",
               std::generic_category().message(error), limit.rlim_cur);
}

}  // namespace

// civetweb's accept(2), see cmake/civetweb.cmake: it asks again at once, whatever happened.
extern "C" int nfbpf_civetweb_accept(int listener, sockaddr* address, socklen_t* length) {
  const int fd = ::accept(listener, address, length);
  if (fd >= 0) return fd;
  const int error = errno;
  if (is_short_of(error)) {
    say_so(error);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  errno = error;
  return fd;
}
