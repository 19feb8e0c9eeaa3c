// SPDX-License-Identifier: Apache-2.0
#include "health_check.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>

#include "dial.h"

namespace nfbpf {
namespace {

// Every address is also the loopback one.
std::string host_of(const http::ListenAddress& address) {
  if (!address.host.empty()) return address.host;
  return address.family == http::ListenAddress::Family::kIpv6 ? "::1" : "127.0.0.1";
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
  const auto fd = dial(host_of(address), std::to_string(address.port), 5);
  if (!fd) return fail("health check: " + fd.error().what);
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
