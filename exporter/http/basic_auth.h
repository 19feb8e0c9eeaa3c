// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <semaphore>
#include <set>
#include <string>
#include <string_view>

namespace nfbpf::http {

// Basic authentication (RFC 7617) against bcrypt hashes. A hash takes some 50 ms, so what was right
// once is remembered: under a keyed digest of name, hash and password, each with its length, so
// that no two of them are ever the same (CVE-2022-46146 was that they could be), and only what was
// right, so that nobody else fills the memory. A name that nobody has takes as long as a wrong
// password.
class BasicAuth {
 public:
  BasicAuth();
  BasicAuth(const BasicAuth&) = delete;
  BasicAuth& operator=(const BasicAuth&) = delete;
  ~BasicAuth() = default;

  enum class Verdict : std::uint8_t {
    kYes,
    kNo,
    kBusy  // as many hashes as may be are being computed; to be tried again
  };
  // `authorization` is the header's value, empty when there is none. Threads may come at once.
  [[nodiscard]] Verdict check(const std::map<std::string, std::string>& users,
                              std::string_view authorization);

 private:
  static constexpr std::size_t kDigest = 32;
  static constexpr std::size_t kMostRemembered = 1024;
  // Threads that may compute or wait for it: one computes at a time, and all threads of the server
  // must not end up here while those that are remembered want to be served.
  static constexpr std::ptrdiff_t kMostWaiting = 16;
  using Digest = std::array<std::uint8_t, kDigest>;

  [[nodiscard]] Digest digest(std::string_view user, std::string_view hash,
                              std::string_view password) const;

  Digest key_{};
  std::mutex mutex_;
  std::set<Digest> right_;
  std::counting_semaphore<kMostWaiting> room_{kMostWaiting};
  std::mutex computing_;
};

}  // namespace nfbpf::http
