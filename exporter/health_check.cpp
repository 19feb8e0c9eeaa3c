// SPDX-License-Identifier: Apache-2.0
#include "health_check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>

#include "base/unique_fd.h"

namespace nfbpf {
namespace {

// Every address is also the loopback one.
Result<UniqueFd> dial(const http::ListenAddress& address) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  const bool is_v6 = address.family == http::ListenAddress::Family::kIpv6;
  const std::string host = address.host.empty() ? (is_v6 ? "::1" : "127.0.0.1") : address.host;
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  v4.sin_port = v6.sin6_port = htons(address.port);
  if (::inet_pton(is_v6 ? AF_INET6 : AF_INET, host.c_str(),
                  is_v6 ? static_cast<void*>(&v6.sin6_addr) : &v4.sin_addr) != 1)
    return fail("health check: " + address.text() + " is no address to connect to");
  UniqueFd fd(::socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{5, 0};
  if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
      ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0)
    return fail_errno(errno, "health check: socket");
  const auto* where = is_v6 ? reinterpret_cast<sockaddr*>(&v6) : reinterpret_cast<sockaddr*>(&v4);
  if (::connect(fd.get(), where, is_v6 ? sizeof(v6) : sizeof(v4)) != 0)
    return fail_errno(errno, "health check: connect to " + address.text());
  return fd;
}

Result<std::string> answer_of(const UniqueFd& fd, const std::string& request) {
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0)
    return fail_errno(errno, "health check: send");
  std::array<char, 512> piece{};
  const ssize_t got = ::recv(fd.get(), piece.data(), piece.size(), 0);
  if (got < 0) return fail_errno(errno, "health check: no answer");
  return std::string(piece.data(), static_cast<std::size_t>(got));
}

// What the other side says is asked of ourselves, so its certificate proves nothing and is not
// looked at. An alert is an answer, too: of one who wants a certificate of its clients.
Result<std::string> answer_by_tls(const UniqueFd& fd, const std::string& request) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()),
                                                             SSL_CTX_free);
  const std::unique_ptr<SSL, void (*)(SSL*)> connection(context ? SSL_new(context.get()) : nullptr,
                                                        SSL_free);
  if (!connection || SSL_set_fd(connection.get(), fd.get()) != 1)
    return fail("health check: no TLS");
  std::array<char, 512> piece{};
  ERR_clear_error();
  int got = 0;
  if (SSL_connect(connection.get()) == 1 &&
      SSL_write(connection.get(), request.data(), static_cast<int>(request.size())) > 0)
    got = SSL_read(connection.get(), piece.data(), static_cast<int>(piece.size()));
  if (got > 0) return std::string(piece.data(), static_cast<std::size_t>(got));
  if (ERR_GET_REASON(ERR_peek_error()) > SSL_AD_REASON_OFFSET) return std::string("HTTP/1.1 401 ");
  return fail("health check: no answer by TLS");
}

}  // namespace

Result<void> check_health(const http::ListenAddress& address, bool tls, const std::string& path) {
  (void)std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  const auto fd = dial(address);
  if (!fd) return tl::unexpected(fd.error());
  const std::string request =
      "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  const auto answer = tls ? answer_by_tls(*fd, request) : answer_of(*fd, request);
  if (!answer) return tl::unexpected(answer.error());
  const std::string first = answer->substr(0, answer->find('\r'));
  if (first.find(" 200 ") != std::string::npos || first.find(" 401 ") != std::string::npos)
    return {};
  return fail("health check: " + address.text() + " answers \"" + first + "\"");
}

}  // namespace nfbpf
