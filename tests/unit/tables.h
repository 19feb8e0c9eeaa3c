// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "traffic/table.h"

namespace nfbpf::test {

// Tables as the built-in maps give them, to be filled with what a test wants.

inline std::vector<traffic::EnumName> directions() {
  return {{0, "unknown"}, {2, "in"}, {3, "forward"}, {4, "out"}};
}

inline traffic::Layout ipv4_layout() {
  using traffic::FieldKind;
  traffic::Layout layout;
  layout.map = "nfbpf_ipv4";
  layout.family = "nfbpf_source_destination";
  layout.key_size = 12;
  layout.value_size = 16;
  layout.labels = {{"direction", FieldKind::kEnum, 0, 1, directions()},
                   {"protocol", FieldKind::kProtocol, 1, 1, {}},
                   {"source", FieldKind::kIpv4, 4, 4, {}},
                   {"destination", FieldKind::kIpv4, 8, 4, {}}};
  layout.counters = {{"packets", 0, 8}, {"bytes", 8, 8}};
  return layout;
}

inline traffic::Layout ipv6_layout() {
  using traffic::FieldKind;
  traffic::Layout layout = ipv4_layout();
  layout.map = "nfbpf_ipv6";
  layout.key_size = 36;
  layout.labels = {{"protocol", FieldKind::kProtocol, 2, 1, {}},
                   {"direction", FieldKind::kEnum, 3, 1, directions()},
                   {"source", FieldKind::kIpv6, 4, 16, {}},
                   {"destination", FieldKind::kIpv6, 20, 16, {}}};
  return layout;
}

inline std::vector<std::byte> ipv4_key(int direction, int protocol, const char* source,
                                       const char* destination, int reserved = 0) {
  std::vector<std::byte> key(12);
  key[0] = std::byte(direction);
  key[1] = std::byte(protocol);
  key[2] = std::byte(reserved);
  ::inet_pton(AF_INET, source, &key[4]);
  ::inet_pton(AF_INET, destination, &key[8]);
  return key;
}

inline std::vector<std::byte> ipv6_key(int direction, int protocol, const char* source,
                                       const char* destination) {
  std::vector<std::byte> key(36);
  key[2] = std::byte(protocol);
  key[3] = std::byte(direction);
  ::inet_pton(AF_INET6, source, &key[4]);
  ::inet_pton(AF_INET6, destination, &key[20]);
  return key;
}

inline traffic::Table table(traffic::Layout layout, std::uint64_t capacity = 1024) {
  return {std::make_shared<const traffic::Layout>(std::move(layout)), capacity};
}

inline void add(traffic::Table& table, const std::vector<std::byte>& key,
                const std::vector<std::uint64_t>& values) {
  const auto row = table.append(key.data());
  std::copy(values.begin(), values.end(), row.begin());
}

}  // namespace nfbpf::test
