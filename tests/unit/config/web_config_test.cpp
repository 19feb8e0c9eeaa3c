// SPDX-License-Identifier: Apache-2.0
#include "config/web_config.h"

#include <gtest/gtest.h>

namespace nfbpf::config {
namespace {

using http::ClientAuth;
using http::TlsVersion;

const std::string kHash = "$2y$10$abcdefghijklmnopqrstuuAbCdEfGhIjKlMnOpQrStUvWxYz01234";

Result<http::WebConfig> parsed(const std::string& text) {
  return parse_web_config(text, "/etc/nfbpf/web.yml");
}

TEST(WebConfig, AnEmptyFileAsksForNothing) {
  for (const char* text :
       {"", "{}", "# nothing\n", "tls_server_config:\n", "basic_auth_users: {}"}) {
    const auto config = parsed(text);
    ASSERT_TRUE(config) << text << ": " << config.error().what;
    EXPECT_FALSE(config->tls);
    EXPECT_TRUE(config->users.empty());
  }
}

TEST(WebConfig, ReadsAllThatWeSupport) {
  const auto config = parsed(R"(
tls_server_config:
  cert_file: tls/server.crt
  key_file: /secret/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus.example, 10.0.0.1]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]
  curve_preferences: [X25519, CurveP256]
  prefer_server_cipher_suites: false
http_server_config:
  http2: false
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  ada: )" + kHash + "\n");
  ASSERT_TRUE(config) << config.error().what;
  ASSERT_TRUE(config->tls);
  const auto& tls = *config->tls;
  EXPECT_EQ(tls.cert_file, "/etc/nfbpf/tls/server.crt") << "relative to the file";
  EXPECT_EQ(tls.key_file, "/secret/server.key");
  EXPECT_EQ(tls.client_ca_file, "/etc/nfbpf/ca.crt");
  EXPECT_EQ(tls.client_auth, ClientAuth::kRequireAndVerify);
  EXPECT_EQ(tls.client_allowed_sans, (std::vector<std::string>{"prometheus.example", "10.0.0.1"}));
  EXPECT_EQ(tls.min_version, TlsVersion::kTls12);
  EXPECT_EQ(tls.max_version, TlsVersion::kTls13);
  EXPECT_EQ(tls.ciphers, "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384");
  EXPECT_EQ(tls.ciphers_of_tls13, "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(tls.curves, "X25519:P-256");
  EXPECT_FALSE(tls.prefer_server_ciphers);
  EXPECT_EQ(config->headers.size(), 2U);
  EXPECT_EQ(config->users.at("ada"), kHash);
}

TEST(WebConfig, RefusesByNameAndPlace) {
  const std::string files = "  cert_file: a\n  key_file: b\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"tls_server_conf: {}",
       "web.yml:1:1: tls_server_conf: is no key here; did you mean tls_server_config?"},
      {"tls_server_config:\n  cert_file: a\n", "web.yml:2:3: tls_server_config: has no key_file"},
      {"tls_server_config:\n" + files + "  cert: x\n",
       "tls_server_config.cert: is not supported; put it into a file"},
      {"tls_server_config:\n" + files + "  min_version: TLS10\n",
       ":4:16: tls_server_config.min_version: has \"TLS10\", allowed is TLS12 or TLS13"},
      {"tls_server_config:\n" + files + "  min_version: TLS13\n  max_version: TLS12\n",
       "min_version is above max_version"},
      {"tls_server_config:\n" + files + "  client_auth_type: Maybe\n",
       "has \"Maybe\", allowed is NoClientCert"},
      {"tls_server_config:\n" + files + "  client_auth_type: RequireAndVerifyClientCert\n",
       "client_ca_file is missing"},
      {"tls_server_config:\n" + files + "  client_ca_file: ca\n", "lets anybody in"},
      {"tls_server_config:\n" + files + "  client_allowed_sans: [x]\n",
       "needs a verified certificate"},
      {"tls_server_config:\n" + files + "  cipher_suites: [TLS_RSA_WITH_RC4]\n",
       "cipher_suites[0]: is no key here"},
      {"tls_server_config:\n" + files + "  curve_preferences: [P256]\n",
       "curve_preferences[0]: has \"P256\""},
      {"http_server_config:\n  http2: true\n", "http2: HTTP/2 is not supported"},
      {"http_server_config:\n  headers:\n    Server: x\n", "headers.Server: is no key here"},
      {"http_server_config:\n  headers:\n    X-Frame-Options: \"a\\r\\nSet-Cookie: b\"\n",
       "has a character that no header may have"},
      {"rate_limit: {}", "rate_limit: is not supported; --web.max-requests"},
      {"basic_auth_users:\n  ada: secret\n", ":2:8: basic_auth_users.ada: is no bcrypt hash"},
      {"basic_auth_users:\n  ada: " + kHash + "\n  ada: " + kHash + "\n", "stands here twice"},
      {"basic_auth_users:\n  \"a:b\": " + kHash + "\n", "is no user name"},
      {"[1, 2]", "has a list, allowed is a mapping"},
      {"a: [", "is not YAML"},
  };
  for (const auto& [text, expected] : cases) {
    const auto config = parsed(text);
    ASSERT_FALSE(config) << text;
    EXPECT_NE(config.error().what.find(expected), std::string::npos)
        << text << "\n  says " << config.error().what << "\n  not  " << expected;
  }
}

// It may be a password that somebody forgot to hash.
TEST(WebConfig, DoesNotPrintWhatIsNoHash) {
  const auto config = parsed("basic_auth_users:\n  ada: swordfish\n");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().what.find("swordfish"), std::string::npos) << config.error().what;
}

}  // namespace
}  // namespace nfbpf::config
