// SPDX-License-Identifier: Apache-2.0
#include "http/tls.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <utility>

#include "base/unique_fd.h"

namespace nfbpf::http {
namespace {

tl::unexpected<Error> refuse(const std::string& what) {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return fail(what + (reason == nullptr ? "" : std::string(": ") + reason));
}

int version_number(TlsVersion version) {
  return version == TlsVersion::kTls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

int verify_mode(ClientAuth auth) {
  switch (auth) {
    case ClientAuth::kNone:
      return SSL_VERIFY_NONE;
    case ClientAuth::kRequest:
    case ClientAuth::kVerifyIfGiven:
      return SSL_VERIFY_PEER;
    case ClientAuth::kRequireAny:
    case ClientAuth::kRequireAndVerify:
      return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  }
  return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

// OpenSSL does not say why it could not. No path is none to open.
Result<void> check_opens(const std::filesystem::path& file) {
  if (file.empty()) return {};
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd) return {};
  const int error = errno;
  auto refused =
      fail_errno(error, file.string() + ": cannot be opened by uid " + std::to_string(::geteuid()) +
                            " and gid " + std::to_string(::getegid()));
  if (error == EACCES)
    refused.value().what +=
        "; who serves reads it again when it is renewed, so let its group read it and enter each "
        "folder on the way";
  return refused;
}

std::string text_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

std::string address_of(const ASN1_OCTET_STRING* octets) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int family = ASN1_STRING_length(octets) == 4 ? AF_INET : AF_INET6;
  if (family == AF_INET6 && ASN1_STRING_length(octets) != 16) return {};
  const char* shown = ::inet_ntop(family, ASN1_STRING_get0_data(octets), text.data(), text.size());
  return shown == nullptr ? "" : shown;
}

// DNS names, addresses, e-mail addresses and URIs of a certificate.
std::vector<std::string> alternative_names(X509* certificate) {
  std::vector<std::string> names;
  auto* all = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all, i);
    if (name->type == GEN_DNS || name->type == GEN_EMAIL || name->type == GEN_URI)
      names.push_back(text_of(name->d.ia5));
    if (name->type == GEN_IPADD) names.push_back(address_of(name->d.iPAddress));
  }
  GENERAL_NAMES_free(all);
  return names;
}

// Which identity a connection uses: kept with the connection, freed with it.
int identity_index() {
  static const int index = SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* held, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<std::shared_ptr<const TlsIdentity>*>(held);
      });
  return index;
}

const TlsIdentity* identity_of(X509_STORE_CTX* store) {
  const auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* held =
      static_cast<std::shared_ptr<const TlsIdentity>*>(SSL_get_ex_data(ssl, identity_index()));
  return held == nullptr ? nullptr : held->get();
}

int accept_any(int, X509_STORE_CTX* store) {
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

// With the verdict of OpenSSL so far; at depth 0, the client's own certificate, its names count
// too.
int check_names(int verified, X509_STORE_CTX* store) {
  if (verified != 1 || X509_STORE_CTX_get_error_depth(store) != 0) return verified;
  const TlsIdentity* identity = identity_of(store);
  if (identity == nullptr) return 0;
  const auto& allowed = identity->settings().client_allowed_sans;
  if (allowed.empty()) return 1;
  for (const std::string& name : alternative_names(X509_STORE_CTX_get_current_cert(store)))
    if (std::ranges::find(allowed, name) != allowed.end()) return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

bool verifies(ClientAuth auth) {
  return auth == ClientAuth::kVerifyIfGiven || auth == ClientAuth::kRequireAndVerify;
}

// No terminal is asked for the password of a key.
int no_password(char*, int, int, void*) {
  return 0;
}

}  // namespace

TlsIdentity::TlsIdentity(const TlsSettings& settings)
    : settings_(settings), context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
  if (!context_) throw std::bad_alloc();
  // A resumed session is one whose certificate was verified by what applied then.
  SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context_.get(), 0);
  SSL_CTX_set_options(context_.get(),
                      SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  if (settings.prefer_server_ciphers)
    SSL_CTX_set_options(context_.get(), SSL_OP_CIPHER_SERVER_PREFERENCE);
}

TlsIdentity::~TlsIdentity() = default;

Result<std::shared_ptr<const TlsIdentity>> TlsIdentity::load(const TlsSettings& settings) {
  ERR_clear_error();
  std::shared_ptr<TlsIdentity> identity(new TlsIdentity(settings));
  if (auto ok = identity->read_files(); !ok) return tl::unexpected(ok.error());
  if (auto ok = identity->choose(); !ok) return tl::unexpected(ok.error());
  return identity;
}

Result<void> TlsIdentity::read_files() {
  SSL_CTX* context = context_.get();
  SSL_CTX_set_default_passwd_cb(context, no_password);
  const auto& [certificate, key, ca] =
      std::tie(settings_.cert_file, settings_.key_file, settings_.client_ca_file);
  for (const auto* file : {&certificate, &key, &ca})
    if (auto ok = check_opens(*file); !ok) return ok;
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1)
    return refuse(certificate.string() + ": cannot read the certificate (PEM)");
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1)
    return refuse(key.string() +
                  ": cannot read the private key (PEM, without a password), or it is "
                  "not that of " +
                  certificate.string());
  if (SSL_CTX_check_private_key(context) != 1)
    return refuse(key.string() + ": is not the key of " + certificate.string());
  tm until{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(context)), &until) != 1)
    return refuse(certificate.string() + ": cannot read until when it is valid");
  expires_ = ::timegm(&until);
  if (ca.empty()) return {};
  if (SSL_CTX_load_verify_file(context, ca.c_str()) != 1)
    return refuse(ca.string() + ": cannot read the certificates of client_ca_file (PEM)");
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(ca.c_str());
  if (names == nullptr) return refuse(ca.string() + ": cannot read the names of client_ca_file");
  SSL_CTX_set_client_CA_list(context, names);
  return {};
}

Result<void> TlsIdentity::choose() {
  SSL_CTX* context = context_.get();
  const auto& s = settings_;
  if (!s.ciphers.empty() && SSL_CTX_set_cipher_list(context, s.ciphers.c_str()) != 1)
    return refuse("cipher_suites: OpenSSL takes none of " + s.ciphers);
  if (!s.ciphers_of_tls13.empty() &&
      SSL_CTX_set_ciphersuites(context, s.ciphers_of_tls13.c_str()) != 1)
    return refuse("cipher_suites: OpenSSL takes none of " + s.ciphers_of_tls13);
  if (!s.curves.empty() && SSL_CTX_set1_groups_list(context, s.curves.c_str()) != 1)
    return refuse("curve_preferences: OpenSSL does not take " + s.curves);
  return {};
}

// SSL_set_SSL_CTX() changes the certificate alone: the rest is said for each connection.
bool TlsIdentity::apply(SSL* connection) const {
  SSL_CTX* context = context_.get();
  const auto& s = settings_;
  if (SSL_set_SSL_CTX(connection, context) == nullptr) return false;
  SSL_set_options(connection, SSL_CTX_get_options(context));
  SSL_set_verify(connection, verify_mode(s.client_auth),
                 verifies(s.client_auth) ? check_names : accept_any);
  if (SSL_set1_verify_cert_store(connection, SSL_CTX_get_cert_store(context)) != 1) return false;
  if (const auto* names = SSL_CTX_get_client_CA_list(context); sk_X509_NAME_num(names) > 0)
    SSL_set_client_CA_list(connection, SSL_dup_CA_list(names));
  if (SSL_set_min_proto_version(connection, version_number(s.min_version)) != 1) return false;
  if (SSL_set_max_proto_version(connection, version_number(s.max_version)) != 1) return false;
  if (!s.ciphers.empty() && SSL_set_cipher_list(connection, s.ciphers.c_str()) != 1) return false;
  if (!s.ciphers_of_tls13.empty() &&
      SSL_set_ciphersuites(connection, s.ciphers_of_tls13.c_str()) != 1)
    return false;
  return s.curves.empty() || SSL_set1_groups_list(connection, s.curves.c_str()) == 1;
}

TlsFront::TlsFront(Identity current)
    : current_(std::move(current)), context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
  if (!context_) throw std::bad_alloc();
  SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context_.get(), 0);
  SSL_CTX_set_options(context_.get(), SSL_OP_NO_TICKET);
  SSL_CTX_set_client_hello_cb(context_.get(), on_client_hello, this);
}

TlsFront::~TlsFront() = default;

// OpenSSL's callback: C calls it, nothing may be thrown through it.
int TlsFront::on_client_hello(SSL* connection, int* alert, void* front) {
  *alert = SSL_AD_INTERNAL_ERROR;
  try {
    auto identity = static_cast<TlsFront*>(front)->current_();
    if (!identity) return SSL_CLIENT_HELLO_ERROR;
    auto held = std::make_unique<std::shared_ptr<const TlsIdentity>>(identity);
    if (SSL_set_ex_data(connection, identity_index(), held.get()) != 1)
      return SSL_CLIENT_HELLO_ERROR;
    (void)held.release();
    return identity->apply(connection) ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
  } catch (const std::exception&) {
    return SSL_CLIENT_HELLO_ERROR;
  }
}

}  // namespace nfbpf::http
