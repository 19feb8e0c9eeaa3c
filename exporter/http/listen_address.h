// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nfbpf::http {

// Where to listen: ":9987" (every address, IPv4 and IPv6), "127.0.0.1:9987" or "[::1]:9987". Port 0
// lets the kernel choose.
struct ListenAddress {
  enum class Family : std::uint8_t { kAny, kIpv4, kIpv6 };
  Family family = Family::kAny;
  std::string host;  // without brackets; empty for every address
  std::uint16_t port = 0;

  // Host names are refused: what they mean can change under a running server.
  static Result<ListenAddress> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  bool operator==(const ListenAddress&) const = default;
};

inline constexpr const char* kAddressesAllowed = ":9987, 127.0.0.1:9987 or [::1]:9987";

// Where the metrics may be served: a plain path of printable ASCII that is none of the server's own
// routes.
[[nodiscard]] Result<void> check_telemetry_path(std::string_view path);

}  // namespace nfbpf::http
