// SPDX-License-Identifier: Apache-2.0
#include "config/web_config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string_view>

#include "config/place.h"
#include "config/text_file.h"

namespace nfbpf::config {
namespace {

using http::ClientAuth;
using http::TlsSettings;
using http::TlsVersion;
using http::WebConfig;

constexpr const char* kClientAuths =
    "NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven or "
    "RequireAndVerifyClientCert";
constexpr const char* kVersions = "TLS12 or TLS13";  // Debian's OpenSSL speaks no older one

std::optional<ClientAuth> client_auth_of(std::string_view word) {
  if (word == "NoClientCert") return ClientAuth::kNone;
  if (word == "RequestClientCert") return ClientAuth::kRequest;
  // What older releases of the toolkit call it.
  if (word == "RequireAnyClientCert" || word == "RequireClientCert") return ClientAuth::kRequireAny;
  if (word == "VerifyClientCertIfGiven") return ClientAuth::kVerifyIfGiven;
  if (word == "RequireAndVerifyClientCert") return ClientAuth::kRequireAndVerify;
  return std::nullopt;
}

std::optional<TlsVersion> version_of(std::string_view word) {
  if (word == "TLS12") return TlsVersion::kTls12;
  if (word == "TLS13") return TlsVersion::kTls13;
  return std::nullopt;
}

// By the names that Go has for them, which are those of IANA, and OpenSSL's for the same.
struct Cipher {
  std::string_view name, openssl;
};
constexpr Cipher kCiphers[] = {
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-SHA"},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA"},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA"},
    {"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA"},
    {"TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256"},
    {"TLS_RSA_WITH_AES_256_GCM_SHA384", "AES256-GCM-SHA384"},
    {"TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA"},
    {"TLS_RSA_WITH_AES_256_CBC_SHA", "AES256-SHA"},
};
constexpr std::string_view kCiphersOfTls13[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                                "TLS_CHACHA20_POLY1305_SHA256"};
constexpr Cipher kCurves[] = {
    {"CurveP256", "P-256"}, {"CurveP384", "P-384"}, {"CurveP521", "P-521"}, {"X25519", "X25519"}};

using Setter = std::function<Result<void>(const Place&, const YAML::Node&)>;
struct Key {
  std::string name;
  Setter apply;
};

// A mapping of known keys. `inner` is what the mapping is called in errors.
Result<void> read_keys(const Place& place, const YAML::Node& node, const std::vector<Key>& keys) {
  if (node.IsNull()) return {};
  if (!node.IsMap()) return place.refuse("has " + kind_of(node) + ", allowed is a mapping");
  std::vector<std::string> known;
  for (const Key& key : keys) known.push_back(key.name);
  return for_each_entry(
      place, node,
      [&](const Place& at, const std::string& word, const YAML::Node& value) -> Result<void> {
        const auto key = std::ranges::find(keys, word, &Key::name);
        if (key == keys.end()) return refuse_key(at, word, known);
        return key->apply(at.of_value(value), value);
      });
}

Setter file_into(std::filesystem::path& target, const std::filesystem::path& folder) {
  return [&target, folder](const Place& place, const YAML::Node& node) -> Result<void> {
    const auto text = scalar(place, node, "the path of a PEM file");
    if (!text) return tl::unexpected(text.error());
    target = folder / *text;  // stays as it is if it is absolute
    return {};
  };
}

Result<bool> truth(const Place& place, const YAML::Node& node) {
  const auto text = scalar(place, node, "true or false");
  if (!text) return tl::unexpected(text.error());
  if (*text != "true" && *text != "false")
    return place.refuse("has \"" + *text + "\", allowed is true or false");
  return *text == "true";
}

// Calls `each` with the text and place of each entry.
Result<void> read_list(const Place& place, const YAML::Node& node, const std::string& allowed,
                       const std::function<Result<void>(const Place&, const std::string&)>& each) {
  if (node.IsNull()) return {};
  if (!node.IsSequence()) return place.refuse("has " + kind_of(node) + ", allowed is a list");
  for (std::size_t i = 0; i < node.size(); ++i) {
    const Place entry{place.file, place.key + "[" + std::to_string(i) + "]", node[i].Mark()};
    const auto text = scalar(entry, node[i], allowed);
    if (!text) return tl::unexpected(text.error());
    if (auto ok = each(entry, *text); !ok) return ok;
  }
  return {};
}

void join(std::string& list, std::string_view word) {
  if (!list.empty()) list += ':';
  list += word;
}

Result<void> read_ciphers(const Place& place, const YAML::Node& node, TlsSettings& tls) {
  return read_list(place, node, "a cipher suite's name",
                   [&](const Place& entry, const std::string& word) -> Result<void> {
                     const auto cipher = std::ranges::find(kCiphers, word, &Cipher::name);
                     if (cipher != std::end(kCiphers)) {
                       join(tls.ciphers, cipher->openssl);
                       return {};
                     }
                     if (std::ranges::find(kCiphersOfTls13, word) != std::end(kCiphersOfTls13)) {
                       join(tls.ciphers_of_tls13, word);
                       return {};
                     }
                     std::vector<std::string> known(std::begin(kCiphersOfTls13),
                                                    std::end(kCiphersOfTls13));
                     for (const Cipher& one : kCiphers) known.emplace_back(one.name);
                     return refuse_key(entry, word, known);
                   });
}

Result<void> read_curves(const Place& place, const YAML::Node& node, TlsSettings& tls) {
  return read_list(place, node, "a curve's name",
                   [&](const Place& entry, const std::string& word) -> Result<void> {
                     const auto curve = std::ranges::find(kCurves, word, &Cipher::name);
                     if (curve == std::end(kCurves))
                       return entry.refuse("has \"" + word +
                                           "\", allowed is CurveP256, CurveP384, CurveP521 or "
                                           "X25519");
                     join(tls.curves, curve->openssl);
                     return {};
                   });
}

Setter unsupported(const char* next) {
  return [next](const Place& place, const YAML::Node&) -> Result<void> {
    return place.refuse(std::string("is not supported; ") + next);
  };
}

// What Go's library refuses as well, or would leave open without a word.
Result<void> check_tls(const Place& place, const TlsSettings& tls) {
  if (tls.cert_file.empty()) return place.refuse("has no cert_file");
  if (tls.key_file.empty()) return place.refuse("has no key_file");
  if (tls.min_version > tls.max_version) return place.refuse("min_version is above max_version");
  const bool verifies = tls.client_auth == ClientAuth::kVerifyIfGiven ||
                        tls.client_auth == ClientAuth::kRequireAndVerify;
  if (verifies && tls.client_ca_file.empty())
    return place.refuse("client_auth_type verifies certificates: client_ca_file is missing");
  if (tls.client_auth == ClientAuth::kNone && !tls.client_ca_file.empty())
    return place.refuse(
        "client_ca_file without client_auth_type lets anybody in; set "
        "client_auth_type: RequireAndVerifyClientCert");
  if (!verifies && !tls.client_allowed_sans.empty())
    return place.refuse(
        "client_allowed_sans needs a verified certificate; set "
        "client_auth_type: RequireAndVerifyClientCert");
  return {};
}

Result<void> read_tls(const Place& place, const YAML::Node& node,
                      const std::filesystem::path& folder, WebConfig& config) {
  TlsSettings tls;
  const std::vector<Key> keys = {
      {"cert_file", file_into(tls.cert_file, folder)},
      {"key_file", file_into(tls.key_file, folder)},
      {"cert", unsupported("put it into a file and name that as cert_file")},
      {"key", unsupported("put it into a file and name that as key_file")},
      {"client_ca", unsupported("put it into a file and name that as client_ca_file")},
      {"client_ca_file", file_into(tls.client_ca_file, folder)},
      {"client_auth_type",
       [&](const Place& p, const YAML::Node& n) {
         return set_word(p, n, kClientAuths, client_auth_of, tls.client_auth);
       }},
      {"client_allowed_sans",
       [&](const Place& p, const YAML::Node& n) {
         return read_list(p, n, "a name, address or URI",
                          [&](const Place&, const std::string& text) -> Result<void> {
                            tls.client_allowed_sans.push_back(text);
                            return {};
                          });
       }},
      {"min_version",
       [&](const Place& p, const YAML::Node& n) {
         return set_word(p, n, kVersions, version_of, tls.min_version);
       }},
      {"max_version",
       [&](const Place& p, const YAML::Node& n) {
         return set_word(p, n, kVersions, version_of, tls.max_version);
       }},
      {"cipher_suites",
       [&](const Place& p, const YAML::Node& n) { return read_ciphers(p, n, tls); }},
      {"curve_preferences",
       [&](const Place& p, const YAML::Node& n) { return read_curves(p, n, tls); }},
      {"prefer_server_cipher_suites",
       [&](const Place& p, const YAML::Node& n) -> Result<void> {
         const auto value = truth(p, n);
         if (!value) return tl::unexpected(value.error());
         tls.prefer_server_ciphers = *value;
         return {};
       }},
  };
  if (node.IsNull() || (node.IsMap() && node.size() == 0)) return {};
  if (auto ok = read_keys(place, node, keys); !ok) return ok;
  if (auto ok = check_tls(place, tls); !ok) return ok;
  config.tls = std::move(tls);
  return {};
}

// The headers that the toolkit lets one set.
constexpr std::array<const char*, 5> kHeaders = {
    "Content-Security-Policy", "Strict-Transport-Security", "X-Content-Type-Options",
    "X-Frame-Options", "X-XSS-Protection"};

Result<void> read_headers(const Place& place, const YAML::Node& node, WebConfig& config) {
  std::vector<Key> keys;
  for (const char* name : kHeaders)
    keys.push_back({name, [name, &config](const Place& at, const YAML::Node& n) -> Result<void> {
                      const auto text = scalar(at, n, "the header's value");
                      if (!text) return tl::unexpected(text.error());
                      // A line break would begin a header of its own.
                      if (std::ranges::any_of(*text, [](char c) { return c < ' ' || c > '~'; }))
                        return at.refuse("has a character that no header may have");
                      config.headers.emplace_back(name, *text);
                      return {};
                    }});
  return read_keys(place, node, keys);
}

Result<void> read_http(const Place& place, const YAML::Node& node, WebConfig& config) {
  return read_keys(
      place, node,
      {{"http2",
        [](const Place& p, const YAML::Node& n) -> Result<void> {
          const auto value = truth(p, n);
          if (!value) return tl::unexpected(value.error());
          if (*value) return p.refuse("HTTP/2 is not supported; leave it out or set it to false");
          return {};
        }},
       {"headers",
        [&](const Place& p, const YAML::Node& n) { return read_headers(p, n, config); }}});
}

// $2a$10$ and 53 characters of salt and hash.
bool is_bcrypt(std::string_view hash) {
  constexpr std::size_t kLength = 60;
  const auto digit = [&](std::size_t i) { return hash[i] >= '0' && hash[i] <= '9'; };
  const auto base64 = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '/';
  };
  if (hash.size() != kLength || hash[0] != '$' || hash[1] != '2' || hash[3] != '$') return false;
  if (std::string_view("aby").find(hash[2]) == std::string_view::npos) return false;
  if (!digit(4) || !digit(5) || hash[6] != '$') return false;
  const int cost = (hash[4] - '0') * 10 + (hash[5] - '0');
  return cost >= 4 && cost <= 31 && std::ranges::all_of(hash.substr(7), base64);
}

Result<void> read_users(const Place& place, const YAML::Node& node, WebConfig& config) {
  if (node.IsNull()) return {};
  if (!node.IsMap()) return place.refuse("has " + kind_of(node) + ", allowed is a mapping");
  return for_each_entry(
      place, node,
      [&](const Place& at, const std::string& name, const YAML::Node& value) -> Result<void> {
        const Place here = at.of_value(value);
        const auto hash = scalar(here, value, "a bcrypt hash");
        if (!hash) return tl::unexpected(hash.error());
        if (name.empty() || name.find(':') != std::string::npos)
          return at.refuse("is no user name: it has a colon or nothing");
        // Without the value: it may be a password in plain.
        if (!is_bcrypt(*hash))
          return here.refuse("is no bcrypt hash; make one with `htpasswd -nBC 10 \"\"`");
        config.users[name] = *hash;
        return {};
      });
}

}  // namespace

Result<WebConfig> parse_web_config(const std::string& text, const std::filesystem::path& name) {
  const std::string file = name.string();
  WebConfig config;
  const auto read = [&](const YAML::Node& root) -> Result<void> {
    return read_keys(
        Place{file, "", root.Mark()}, root,
        {{"tls_server_config",
          [&](const Place& p, const YAML::Node& n) {
            return read_tls(p, n, name.parent_path(), config);
          }},
         {"http_server_config",
          [&](const Place& p, const YAML::Node& n) { return read_http(p, n, config); }},
         {"basic_auth_users",
          [&](const Place& p, const YAML::Node& n) { return read_users(p, n, config); }},
         {"rate_limit", unsupported("--web.max-requests bounds requests at a time")}});
  };
  const auto root = parse_yaml(text, file);
  if (!root) return tl::unexpected(root.error());
  try {
    if (auto ok = read(*root); !ok) return tl::unexpected(ok.error());
  } catch (const YAML::Exception& e) {
    return Place{file, "", e.mark}.refuse("is not YAML: " + e.msg);
  }
  return config;
}

Result<WebConfig> load_web_config(const std::filesystem::path& file) {
  const auto text = read_text_file(file, "the web configuration");
  if (!text) return tl::unexpected(text.error());
  return parse_web_config(*text, file);
}

}  // namespace nfbpf::config
