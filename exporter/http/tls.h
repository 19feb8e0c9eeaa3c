// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/web_config.h"

struct ssl_st;
struct ssl_ctx_st;

namespace nfbpf::http {

// A certificate with its key, and what is asked of clients: as read from the files at one time.
class TlsIdentity {
 public:
  // The files must fit together; the error names the file and what OpenSSL says of it.
  static Result<std::shared_ptr<const TlsIdentity>> load(const TlsSettings& settings);
  TlsIdentity(const TlsIdentity&) = delete;
  TlsIdentity& operator=(const TlsIdentity&) = delete;
  ~TlsIdentity();

  // Until when the certificate is valid, seconds since the epoch.
  [[nodiscard]] std::time_t expires() const { return expires_; }

  // Makes a handshake that has only begun use it; it stays alive as long as that connection.
  [[nodiscard]] bool apply(ssl_st* connection) const;

  // Whether a verified certificate's names have one that is allowed; for OpenSSL's callback.
  [[nodiscard]] const TlsSettings& settings() const { return settings_; }

 private:
  explicit TlsIdentity(const TlsSettings& settings);
  Result<void> read_files();
  Result<void> choose();

  TlsSettings settings_;
  std::unique_ptr<ssl_ctx_st, void (*)(ssl_ctx_st*)> context_;
  std::time_t expires_ = 0;
};

// The context that a server is started with: asks for the identity anew at each handshake, so that
// certificates can be replaced while it runs.
class TlsFront {
 public:
  using Identity = std::function<std::shared_ptr<const TlsIdentity>()>;
  // Null without memory. Whoever owns the front outlives the connections.
  explicit TlsFront(Identity current);
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;
  ~TlsFront();
  [[nodiscard]] ssl_ctx_st* context() const { return context_.get(); }

 private:
  static int on_client_hello(ssl_st* connection, int* alert, void* front);

  Identity current_;
  std::unique_ptr<ssl_ctx_st, void (*)(ssl_ctx_st*)> context_;
};

}  // namespace nfbpf::http
