// SPDX-License-Identifier: Apache-2.0
#include "dial.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <memory>

namespace nfbpf {

Result<UniqueFd> dial(const std::string& host, const std::string& port, long seconds) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0)
    return fail(host + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(found, ::freeaddrinfo);
  int error = 0;
  for (const addrinfo* each = all.get(); each != nullptr; each = each->ai_next) {
    UniqueFd fd(::socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, 0));
    const timeval limit{seconds, 0};
    if (fd && ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
        ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
        ::connect(fd.get(), each->ai_addr, each->ai_addrlen) == 0)
      return fd;
    error = errno;
  }
  return fail_errno(error, host + ":" + port + ": is an nfbpf_exporter running there");
}

}  // namespace nfbpf
