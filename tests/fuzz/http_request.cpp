// SPDX-License-Identifier: Apache-2.0
// Whatever a client sends: the request line and its headers, over a connection of its own. An
// answer, if there is one, is HTTP and none of 5xx but those that we give.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/unique_fd.h"
#include "exposition/selection.h"
#include "http/query.h"
#include "http/server.h"

namespace {

using namespace nfbpf;

std::uint16_t port() {
  static const auto server = [] {
    spdlog::set_level(spdlog::level::off);
    const auto answer = [](const http::Request& request) {
      // As /api/v1/traffic takes its query.
      const auto parameters = http::parse_query(request.query);
      if (!parameters) return http::Response::text(400, parameters.error().what);
      if (const auto selection = exposition::Selection::of(*parameters); !selection)
        return http::Response::text(400, selection.error().what);
      auto response = http::Response::text(200, request.accept + request.query);
      response.negotiated = true;
      return response;
    };
    auto started = http::Server::start(
        {.addresses = {{http::ListenAddress::Family::kIpv4, "127.0.0.1", 0}}, .threads = 2},
        {{"/metrics", answer}, {"/-/reload", answer, true}});
    if (!started) std::abort();
    return std::move(*started);
  }();
  return server->addresses()[0].port;
}

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::abort();
}

// libFuzzer's own timer interrupts; what was begun goes on.
void finish_connect(int fd) {
  pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
  while (::poll(&ready, 1, -1) < 0 && errno == EINTR) {
  }
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) give_up("getsockopt");
  errno = error;
  if (error != 0) give_up("connect");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) give_up("socket");
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port());
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // From another address of loopback each time, or the ports of one are used up in a minute.
  static std::uint32_t connections = 0;
  sockaddr_in from{};
  from.sin_family = AF_INET;
  from.sin_addr.s_addr = htonl(0x7f010001U + connections++ % 0x00f00000U);
  (void)::bind(fd.get(), reinterpret_cast<const sockaddr*>(&from), sizeof(from));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
    if (errno != EINTR) give_up("connect");
    finish_connect(fd.get());
  }
  (void)::send(fd.get(), data, size, MSG_NOSIGNAL);
  ::shutdown(fd.get(), SHUT_WR);  // nothing more comes: it need not wait
  std::string answer;
  char buffer[4096];
  for (ssize_t n = 0;
       (n = ::recv(fd.get(), buffer, sizeof(buffer), 0)) > 0 || (n < 0 && errno == EINTR);)
    if (n > 0) answer.append(buffer, static_cast<std::size_t>(n));
  // Reset at the end, or thousands of them wait for their time.
  const linger at_once{1, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  if (answer.empty()) return 0;
  if (!answer.starts_with("HTTP/1.1 ")) std::abort();
  if (answer[9] == '5' && answer.substr(9, 3) != "505" && answer.substr(9, 3) != "503")
    std::abort();
  return 0;
}
