// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nfbpf::http {

// Whether a client has to show a certificate, by the names of Go's crypto/tls, which Prometheus'
// exporter-toolkit uses.
enum class ClientAuth : std::uint8_t {
  kNone,             // NoClientCert
  kRequest,          // RequestClientCert: asked for, and neither needed nor verified
  kRequireAny,       // RequireAnyClientCert: needed, not verified
  kVerifyIfGiven,    // VerifyClientCertIfGiven
  kRequireAndVerify  // RequireAndVerifyClientCert
};

enum class TlsVersion : std::uint8_t { kTls12, kTls13 };

struct TlsSettings {
  std::filesystem::path cert_file, key_file;  // PEM; the chain follows the certificate
  ClientAuth client_auth = ClientAuth::kNone;
  std::filesystem::path client_ca_file;          // empty: none
  std::vector<std::string> client_allowed_sans;  // empty: any that is verified
  TlsVersion min_version = TlsVersion::kTls12;
  TlsVersion max_version = TlsVersion::kTls13;
  std::string ciphers;  // of TLS 1.2, as OpenSSL lists them; empty: its own choice
  std::string ciphers_of_tls13;
  std::string curves;  // as OpenSSL lists groups
  bool prefer_server_ciphers = true;
};

// What --web.config.file says.
struct WebConfig {
  std::optional<TlsSettings> tls;
  std::map<std::string, std::string> users;                  // name and bcrypt hash; empty: anybody
  std::vector<std::pair<std::string, std::string>> headers;  // of every answer
};

}  // namespace nfbpf::http
