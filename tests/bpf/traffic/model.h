// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "loader/choices.h"
#include "loader/filter.h"
#include "packet/packet.h"

// What bpf/traffic.bpf.c should count, written from the documents (RFC 791, 8200, 9293 and
// bpf/abi/nfbpf.h) and not from the program: two people who read them should agree.
namespace nfbpf::traffic_test {

// A packet as a hook meets it.
struct Met {
  packet::Bytes bytes;                     // from the network header on
  std::uint16_t ethertype = 0x0800;        // what skb->protocol says
  std::array<std::uint32_t, 5> context{};  // enum nfbpf_context_word; all zero: none
  std::uint32_t gso_size = 0;
  std::uint32_t gso_segments = 0;
};

struct Count {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  bool operator==(const Count&) const = default;
};

using Key = std::vector<std::byte>;
using Rows = std::map<Key, Count>;

struct Maps {
  Rows ipv4, ipv6, filtered, overflow;
  bool operator==(const Maps&) const = default;
};

class Model {
 public:
  // `pairs` is how many rows each of the pair maps holds.
  Model(loader::Choices choices, loader::Rules rules, std::size_t pairs)
      : choices_(std::move(choices)), rules_(std::move(rules)), pairs_(pairs) {}

  // Returns what the program should: 1, or 0 for a packet that is left out.
  std::uint32_t meet(const Met& met);
  [[nodiscard]] const Maps& maps() const { return maps_; }

 private:
  loader::Choices choices_;
  loader::Rules rules_;
  std::size_t pairs_;
  Maps maps_;
};

}  // namespace nfbpf::traffic_test
