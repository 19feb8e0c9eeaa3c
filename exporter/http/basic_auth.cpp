// SPDX-License-Identifier: Apache-2.0
#include "http/basic_auth.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <strings.h>

#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

namespace nfbpf::http {
namespace {

// bcrypt looks at no more of a password; Go's refuses longer ones, and so do we.
constexpr std::size_t kMostPassword = 72;
constexpr std::size_t kMostHeader = 4096;

struct Credentials {
  std::string user, password;
};

std::optional<Credentials> credentials_of(std::string_view authorization) {
  constexpr std::string_view kScheme = "Basic ";
  if (authorization.size() < kScheme.size() || authorization.size() > kMostHeader ||
      ::strncasecmp(authorization.data(), kScheme.data(), kScheme.size()) != 0)
    return std::nullopt;
  std::string_view coded = authorization.substr(kScheme.size());
  while (coded.starts_with(' ')) coded.remove_prefix(1);
  while (coded.ends_with(' ')) coded.remove_suffix(1);
  if (coded.empty() || coded.size() % 4 != 0) return std::nullopt;
  std::vector<unsigned char> decoded(coded.size() / 4 * 3);
  const int size =
      EVP_DecodeBlock(decoded.data(), reinterpret_cast<const unsigned char*>(coded.data()),
                      static_cast<int>(coded.size()));
  if (size < 0) return std::nullopt;
  // The padding counts as bytes of zero there.
  const std::size_t padding = coded.ends_with("==") ? 2 : coded.ends_with("=") ? 1 : 0;
  const std::string text(decoded.begin(), decoded.begin() + size - static_cast<int>(padding));
  const auto colon = text.find(':');
  if (colon == std::string::npos) return std::nullopt;
  return Credentials{text.substr(0, colon), text.substr(colon + 1)};
}

bool is_right(const std::string& password, const std::string& hash) {
  const auto data = std::make_unique<crypt_data>();
  const char* made = ::crypt_r(password.c_str(), hash.c_str(), data.get());
  return made != nullptr && std::strlen(made) == hash.size() &&
         CRYPTO_memcmp(made, hash.data(), hash.size()) == 0;
}

// Of nobody's password, as dear as that of the others.
std::string dummy_of(const std::string& hash) {
  constexpr std::size_t kHead = 29;  // "$2y$10$" and the salt
  return hash.substr(0, kHead) + std::string(hash.size() - kHead, '.');
}

}  // namespace

BasicAuth::BasicAuth() {
  if (RAND_bytes(key_.data(), static_cast<int>(key_.size())) != 1)
    throw std::runtime_error("OpenSSL has no random bytes");
}

BasicAuth::Digest BasicAuth::digest(std::string_view user, std::string_view hash,
                                    std::string_view password) const {
  std::string text;
  for (const std::string_view part : {user, hash, password}) {
    const std::uint64_t size = part.size();
    text.append(reinterpret_cast<const char*>(&size), sizeof(size));
    text += part;
  }
  Digest digest{};
  unsigned size = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &size);
  OPENSSL_cleanse(text.data(), text.size());
  return digest;
}

BasicAuth::Verdict BasicAuth::check(const std::map<std::string, std::string>& users,
                                    std::string_view authorization) {
  if (users.empty()) return Verdict::kYes;
  const auto given = credentials_of(authorization);
  if (!given) return Verdict::kNo;
  const auto user = users.find(given->user);
  const bool known = user != users.end();
  const std::string hash = known ? user->second : dummy_of(users.begin()->second);
  const Digest right = digest(given->user, hash, given->password);
  if (known) {
    const std::lock_guard lock(mutex_);
    if (right_.contains(right)) return Verdict::kYes;
  }
  if (!room_.try_acquire()) return Verdict::kBusy;
  bool matches = false;
  {
    const std::lock_guard lock(computing_);
    matches = is_right(given->password, hash);
  }
  room_.release();
  const bool whole =
      given->password.size() <= kMostPassword && given->password.find('\0') == std::string::npos;
  if (!known || !matches || !whole) return Verdict::kNo;
  const std::lock_guard lock(mutex_);
  if (right_.size() >= kMostRemembered) right_.clear();
  right_.insert(right);
  return Verdict::kYes;
}

}  // namespace nfbpf::http
