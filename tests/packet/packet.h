// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

// Packets as expressions, for tests and benchmarks:
//
//   Ipv4{.source = "10.0.0.1", .destination = "10.0.0.2"} / Udp{.destination = 53} / Payload{100}
//
// serialise() gives the bytes from the network header on; lengths, next headers and checksums are
// filled in from what stands behind, unless a member says otherwise.
namespace nfbpf::packet {

struct Ipv4 {  // RFC 791
  std::string source = "10.1.0.1";
  std::string destination = "10.1.0.2";
  std::uint8_t ttl = 64;
  std::uint16_t id = 0;
  bool dont_fragment = false;
  bool more_fragments = false;
  std::uint16_t fragment_offset = 0;       // in units of 8 bytes
  std::vector<std::uint8_t> options = {};  // a multiple of 4 bytes
  std::optional<std::uint8_t> protocol = {};
  std::optional<std::uint16_t> total_length = {};
  std::optional<std::uint8_t> header_length = {};  // in units of 4 bytes
};

struct Ipv6 {  // RFC 8200
  std::string source = "fd01::1";
  std::string destination = "fd01::2";
  std::uint8_t hop_limit = 64;
  std::optional<std::uint8_t> next_header = {};
  std::optional<std::uint16_t> payload_length = {};
};

// Hop-by-hop (0), routing (43) or destination (60) options, filled with PadN; a multiple of 8
// bytes.
struct Options6 {
  std::uint8_t type = 60;
  std::size_t size = 8;
  std::optional<std::uint8_t> next_header = {};
};

struct Fragment6 {           // RFC 8200 4.5
  std::uint16_t offset = 0;  // in units of 8 bytes
  bool more = false;
  std::uint32_t id = 0;
  std::optional<std::uint8_t> next_header = {};
};

struct Authentication {  // RFC 4302; size is a multiple of 4 bytes, at least 12
  std::size_t size = 24;
  std::optional<std::uint8_t> next_header = {};
};

struct Udp {  // RFC 768
  std::uint16_t source = 1024;
  std::uint16_t destination = 9;
};

struct Tcp {  // RFC 9293
  std::uint16_t source = 1024;
  std::uint16_t destination = 80;
  std::uint8_t flags = 0x10;  // ACK
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgment = 0;
  std::size_t options = 0;  // bytes of NOP, a multiple of 4
};

struct Icmp {  // RFC 792, behind Ipv6 RFC 4443
  std::uint8_t type = 8;
  std::uint8_t code = 0;
  std::uint16_t id = 0;
  std::uint16_t sequence = 0;
};

struct Payload {
  std::size_t size = 0;
  std::uint8_t fill = 0;
};

struct Raw {
  std::vector<std::uint8_t> bytes;
};

using Layer =
    std::variant<Ipv4, Ipv6, Options6, Fragment6, Authentication, Udp, Tcp, Icmp, Payload, Raw>;

struct Packet {
  std::vector<Layer> layers;
};

template <typename L>
concept IsLayer = requires(L layer) {
  Layer{layer};
};

template <IsLayer A, IsLayer B>
Packet operator/(A a, B b) {
  return Packet{{Layer{std::move(a)}, Layer{std::move(b)}}};
}

template <IsLayer B>
Packet operator/(Packet packet, B b) {
  packet.layers.emplace_back(std::move(b));
  return packet;
}

using Bytes = std::vector<std::uint8_t>;

// Throws std::invalid_argument for an address that is none.
[[nodiscard]] Bytes serialise(const Packet& packet);

// Ones' complement sum, as RFC 1071 has it, of `bytes` and of what was summed before.
[[nodiscard]] std::uint16_t internet_checksum(const Bytes& bytes, std::uint32_t before = 0);

}  // namespace nfbpf::packet
