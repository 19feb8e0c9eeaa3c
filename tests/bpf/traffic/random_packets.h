// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <random>

#include "bpf/traffic/model.h"

namespace nfbpf::traffic_test {

// Packets of all sorts from a seed: plain ones of a few hosts, fragments, chains of extension
// headers, GSO, and some that are cut off or have bytes changed at random.
class RandomPackets {
 public:
  explicit RandomPackets(std::uint32_t seed) : random_(seed) {}
  [[nodiscard]] Met next();

 private:
  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }
  bool one_in(unsigned n) { return below(n) == 0; }
  std::string host(bool ipv6);
  packet::Packet with_transport(packet::Packet packet, bool ipv6);
  packet::Packet with_extensions(packet::Packet packet);
  packet::Bytes ipv4();
  packet::Bytes ipv6();
  void set_context(Met& met, bool ipv6);
  void damage(packet::Bytes& bytes);

  std::mt19937 random_;
};

}  // namespace nfbpf::traffic_test
