// SPDX-License-Identifier: Apache-2.0
#include "http/probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/unique_fd.h"

namespace nfbpf::http {
namespace {

union Address {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

Address socket_address(const ListenAddress& address, bool v6) {
  Address result{};
  if (v6) {
    result.v6.sin6_family = AF_INET6;
    result.v6.sin6_port = htons(address.port);
    ::inet_pton(AF_INET6, address.host.empty() ? "::" : address.host.c_str(), &result.v6.sin6_addr);
  } else {
    result.v4.sin_family = AF_INET;
    result.v4.sin_port = htons(address.port);
    ::inet_pton(AF_INET, address.host.empty() ? "0.0.0.0" : address.host.c_str(),
                &result.v4.sin_addr);
  }
  return result;
}

std::string next_step(int code, const ListenAddress& address) {
  if (code == EADDRINUSE)
    return "; choose another with --web.listen-address or stop what listens there";
  if (code == EADDRNOTAVAIL) return "; no interface of this machine has " + address.host;
  if (code == EACCES) return "; ports below 1024 need a privilege, choose a higher one";
  return "";
}

}  // namespace

bool has_ipv6() {
  return static_cast<bool>(UniqueFd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0))) &&
         try_to_bind({ListenAddress::Family::kIpv6, "::", 0}).has_value();
}

Result<void> try_to_bind(const ListenAddress& address) {
  const bool v6 = address.family == ListenAddress::Family::kIpv6 ||
                  (address.family == ListenAddress::Family::kAny && has_ipv6());
  const UniqueFd fd(::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  const int only_v6 = address.family == ListenAddress::Family::kIpv6 ? 1 : 0;
  const Address target = socket_address(address, v6);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (v6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6));
  const bool bound =
      fd && ::bind(fd.get(), &target.any, v6 ? sizeof(target.v6) : sizeof(target.v4)) == 0 &&
      ::listen(fd.get(), 1) == 0;
  if (bound) return {};
  const int code = errno;
  auto error = fail_errno(code, "cannot listen on " + address.text());
  error.value().what += next_step(code, address);
  return error;
}

void drop_what_is_not_taken(unsigned ms) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  // Descriptors are the lowest that are free, and few are open when a server starts.
  const int end = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 4096));
  for (int fd = 0; fd < end; ++fd) {
    int listens = 0;
    socklen_t size = sizeof(listens);
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) continue;
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
  }
}

}  // namespace nfbpf::http
