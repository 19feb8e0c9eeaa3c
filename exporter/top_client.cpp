// SPDX-License-Identifier: Apache-2.0
#include "top_client.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <fstream>

#include "dial.h"

namespace nfbpf {
namespace {

// No answer of an exporter is longer; who knows what else answers.
constexpr std::size_t kMostBytes = std::size_t{1} << 30U;

std::string openssl_says() {
  std::array<char, 256> text{};
  const unsigned long code = ::ERR_get_error();
  ::ERR_clear_error();
  if (code == 0) return "broke off";
  ::ERR_error_string_n(code, text.data(), text.size());
  const char* reason = ::ERR_reason_error_string(code);
  return reason == nullptr ? text.data() : reason;
}

using Tls = std::unique_ptr<SSL, void (*)(SSL*)>;

// After the handshake: the certificate is of who was asked for.
Result<Tls> handshake(SSL_CTX* context, int fd, const std::string& host) {
  Tls tls(::SSL_new(context), ::SSL_free);
  if (!tls) return fail(host + ": no memory for TLS");
  ::SSL_set_fd(tls.get(), fd);
  // A number is a name of its own kind in a certificate, and no server name (RFC 6066, 3).
  if (::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(tls.get()), host.c_str()) != 1) {
    ::ERR_clear_error();
    ::SSL_set1_host(tls.get(), host.c_str());
    ::SSL_set_tlsext_host_name(tls.get(), host.c_str());
  }
  if (::SSL_connect(tls.get()) == 1) return tls;
  const long verdict = ::SSL_get_verify_result(tls.get());
  if (verdict != X509_V_OK)
    return fail(host + ": its certificate is refused: " + ::X509_verify_cert_error_string(verdict) +
                "; see --ca-file");
  return fail(host + ": TLS: " + openssl_says());
}

std::string base64(const std::string& text) {
  std::string encoded((text.size() + 2) / 3 * 4 + 1, '\0');
  const int length = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                                       reinterpret_cast<const unsigned char*>(text.data()),
                                       static_cast<int>(text.size()));
  encoded.resize(static_cast<std::size_t>(length));
  return encoded;
}

Result<std::string> first_line(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  if (!in || !std::getline(in, line))
    return fail("--password-file " + file + ": cannot be read, or is empty");
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace

Result<TopClient> TopClient::open(const TopServer& server) {
  TopClient client;
  const auto refuse = [&](const char* why) {
    return fail("--url " + server.url + ": " + why + "; such as http://localhost:9987");
  };
  const bool secure = server.url.starts_with("https://");
  if (!secure && !server.url.starts_with("http://"))
    return refuse("is no http:// or https:// address");
  std::string rest = server.url.substr(secure ? 8 : 7);
  rest = rest.substr(0, rest.find('/'));
  if (rest.find('@') != std::string::npos)
    return refuse("has a user, which --user and --password-file are for");
  const auto colon = rest.rfind(':');
  client.url_ = server.url;
  client.host_ = rest;
  client.port_ = secure ? "443" : "80";
  if (colon != std::string::npos && !rest.ends_with(']'))
    client.host_ = rest.substr(0, colon), client.port_ = rest.substr(colon + 1);
  if (client.host_.starts_with('[') && client.host_.ends_with(']'))
    client.host_ = client.host_.substr(1, client.host_.size() - 2);
  if (client.host_.empty() || client.port_.empty()) return refuse("has no host or no port");
  for (const char c : client.host_ + client.port_)
    if (static_cast<unsigned char>(c) <= ' ') return refuse("has a space in its host");
  if (server.user.empty() != server.password_file.empty())
    return fail("--user and --password-file go together");
  if (!server.user.empty()) {
    const auto password = first_line(server.password_file);
    if (!password) return tl::unexpected(password.error());
    client.authorization_ =
        "Authorization: Basic " + base64(server.user + ":" + *password) + "\r\n";
  }
  if (!secure && (!server.ca_file.empty() || !server.cert_file.empty() || !server.key_file.empty()))
    return refuse("is not https, so --ca-file, --cert-file and --key-file do nothing");
  if (secure)
    if (auto ok = client.read_tls_files(server); !ok) return tl::unexpected(ok.error());
  return client;
}

Result<void> TopClient::read_tls_files(const TopServer& server) {
  tls_ = {::SSL_CTX_new(::TLS_client_method()), ::SSL_CTX_free};
  if (!tls_) return fail("no memory for TLS");
  ::SSL_CTX_set_min_proto_version(tls_.get(), TLS1_2_VERSION);
  ::SSL_CTX_set_verify(tls_.get(), SSL_VERIFY_PEER, nullptr);
  // That an answer is whole is seen by its JSON.
  ::SSL_CTX_set_options(tls_.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
  if (server.ca_file.empty()) {
    ::SSL_CTX_set_default_verify_paths(tls_.get());
  } else if (::SSL_CTX_load_verify_file(tls_.get(), server.ca_file.c_str()) != 1) {
    return fail("--ca-file " + server.ca_file + ": " + openssl_says());
  }
  if (server.cert_file.empty() != server.key_file.empty())
    return fail("--cert-file and --key-file go together");
  if (server.cert_file.empty()) return {};
  if (::SSL_CTX_use_certificate_chain_file(tls_.get(), server.cert_file.c_str()) != 1)
    return fail("--cert-file " + server.cert_file + ": " + openssl_says());
  if (::SSL_CTX_use_PrivateKey_file(tls_.get(), server.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return fail("--key-file " + server.key_file + ": " + openssl_says());
  return {};
}

Result<std::string> TopClient::get(const std::string& path) const {
  const auto fd = dial(host_, port_, 10);
  if (!fd) return tl::unexpected(fd.error());
  Tls tls(nullptr, ::SSL_free);
  if (tls_) {
    auto made = handshake(tls_.get(), fd->get(), host_);
    if (!made) return tl::unexpected(made.error());
    tls = std::move(*made);
  }
  // 1.0: no chunks to take apart.
  const std::string request =
      "GET " + path + " HTTP/1.0\r\nHost: " + host_ + "\r\n" + authorization_ + "\r\n";
  const bool sent =
      tls ? ::SSL_write(tls.get(), request.data(), static_cast<int>(request.size())) > 0
          : ::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL) > 0;
  if (!sent) return tls ? fail(url_ + ": TLS: " + openssl_says()) : fail_errno(errno, url_);
  std::string answer;
  std::array<char, 65536> piece{};
  for (;;) {
    errno = 0;
    const auto got = tls ? ::SSL_read(tls.get(), piece.data(), static_cast<int>(piece.size()))
                         : ::recv(fd->get(), piece.data(), piece.size(), 0);
    if (got > 0) answer.append(piece.data(), static_cast<std::size_t>(got));
    if (answer.size() > kMostBytes) return fail(url_ + ": the answer is longer than 1 GiB");
    if (got > 0) continue;
    if (tls ? ::SSL_get_error(tls.get(), static_cast<int>(got)) == SSL_ERROR_ZERO_RETURN : got == 0)
      break;
    return tls && errno == 0 ? fail(url_ + ": TLS: " + openssl_says() + "; it may want --cert-file")
                             : fail_errno(errno, url_ + ": the answer broke off");
  }
  if (answer.empty()) return fail(url_ + ": closes without an answer; is it https there?");
  const auto body = answer.find("\r\n\r\n");
  const std::string status = answer.substr(0, answer.find('\r'));
  if (body != std::string::npos && status.find(" 200 ") != std::string::npos)
    return answer.substr(body + 4);
  std::string says = body == std::string::npos ? "" : answer.substr(body + 4);
  says = says.substr(0, says.find('\n'));
  return fail(url_ + ": answers \"" + status + "\"" + (says.empty() ? "" : ": " + says) +
              (status.find(" 401 ") == std::string::npos ? "" : "; see --user"));
}

}  // namespace nfbpf
