// SPDX-License-Identifier: Apache-2.0
#include "packet/packet.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <stdexcept>

namespace nfbpf::packet {
namespace {

constexpr std::size_t kIpv4Header = 20;
constexpr std::size_t kIpv6Header = 40;
constexpr std::uint8_t kNoNextHeader = 59;

void put16(Bytes& to, std::uint32_t value) {
  to.push_back(static_cast<std::uint8_t>(value >> 8U));
  to.push_back(static_cast<std::uint8_t>(value));
}

void put32(Bytes& to, std::uint32_t value) {
  put16(to, value >> 16U);
  put16(to, value & 0xffffU);
}

void set16(Bytes& in, std::size_t at, std::uint16_t value) {
  in[at] = static_cast<std::uint8_t>(value >> 8U);
  in[at + 1] = static_cast<std::uint8_t>(value);
}

void put_address(Bytes& to, int family, const std::string& text) {
  std::uint8_t raw[16];
  if (::inet_pton(family, text.c_str(), raw) != 1) throw std::invalid_argument("address " + text);
  to.insert(to.end(), raw, raw + (family == AF_INET6 ? 16 : 4));
}

std::uint32_t sum(const Bytes& bytes) {
  std::uint32_t total = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) total += i % 2 == 0 ? bytes[i] * 256U : bytes[i];
  return total;
}

// What stands behind a layer while the packet is written from its end.
struct Behind {
  Bytes bytes;
  std::optional<std::uint8_t> protocol;    // of the first header in it
  std::optional<std::size_t> checksum_at;  // of a transport header at its start
  std::uint8_t transport = 0;              // whose checksum that is
};

// RFC 9293 3.1, RFC 8200 8.1. ICMP over IPv4 has no pseudo header.
void finish_checksum(Behind& behind, const Bytes& addresses) {
  if (!behind.checksum_at) return;
  std::uint32_t before = 0;
  if (behind.transport != IPPROTO_ICMP)
    before = sum(addresses) + behind.transport + static_cast<std::uint32_t>(behind.bytes.size());
  std::uint16_t checksum = internet_checksum(behind.bytes, before);
  if (checksum == 0 && behind.transport == IPPROTO_UDP) checksum = 0xffff;
  set16(behind.bytes, *behind.checksum_at, checksum);
  behind.checksum_at.reset();
}

void prepend(Behind& behind, const Bytes& header, std::uint8_t protocol) {
  behind.bytes.insert(behind.bytes.begin(), header.begin(), header.end());
  // A checksum moves with its header.
  if (behind.checksum_at) *behind.checksum_at += header.size();
  behind.protocol = protocol;
}

std::uint8_t next_of(const std::optional<std::uint8_t>& said, const Behind& behind) {
  return said.value_or(behind.protocol.value_or(kNoNextHeader));
}

class Writer {
 public:
  // The family of the IP header in front decides what an ICMP message is.
  explicit Writer(bool ipv6) : ipv6_(ipv6) {}

  void operator()(const Payload& payload) {
    behind_.bytes.insert(behind_.bytes.begin(), payload.size, payload.fill);
  }

  void operator()(const Raw& raw) {
    behind_.bytes.insert(behind_.bytes.begin(), raw.bytes.begin(), raw.bytes.end());
  }

  void operator()(const Udp& udp) {
    Bytes header;
    put16(header, udp.source);
    put16(header, udp.destination);
    put16(header, static_cast<std::uint32_t>(8 + behind_.bytes.size()));
    put16(header, 0);
    transport(header, IPPROTO_UDP, 6);
  }

  void operator()(const Tcp& tcp) {
    Bytes header;
    put16(header, tcp.source);
    put16(header, tcp.destination);
    put32(header, tcp.sequence);
    put32(header, tcp.acknowledgment);
    header.push_back(static_cast<std::uint8_t>((5 + tcp.options / 4) << 4U));
    header.push_back(tcp.flags);
    put16(header, 65535);
    put32(header, 0);
    header.insert(header.end(), tcp.options, 1);
    transport(header, IPPROTO_TCP, 16);
  }

  void operator()(const Icmp& icmp) {
    Bytes header{icmp.type, icmp.code, 0, 0};
    put16(header, icmp.id);
    put16(header, icmp.sequence);
    transport(header, ipv6_ ? std::uint8_t{IPPROTO_ICMPV6} : std::uint8_t{IPPROTO_ICMP}, 2);
  }

  void operator()(const Options6& options) {
    Bytes header{next_of(options.next_header, behind_),
                 static_cast<std::uint8_t>(options.size / 8 - 1)};
    // One PadN over all that is left (RFC 8200 4.2); a routing header of type 1 is as good as none.
    header.push_back(1);
    header.push_back(static_cast<std::uint8_t>(options.size - 4));
    header.resize(options.size, 0);
    prepend(behind_, header, options.type);
  }

  void operator()(const Fragment6& fragment) {
    Bytes header{next_of(fragment.next_header, behind_), 0};
    put16(header, fragment.offset * 8U | (fragment.more ? 1U : 0U));
    put32(header, fragment.id);
    prepend(behind_, header, IPPROTO_FRAGMENT);
  }

  void operator()(const Authentication& ah) {
    Bytes header{next_of(ah.next_header, behind_), static_cast<std::uint8_t>(ah.size / 4 - 2)};
    header.resize(ah.size, 0);
    prepend(behind_, header, IPPROTO_AH);
  }

  void operator()(const Ipv4& ip) {
    Bytes addresses;
    put_address(addresses, AF_INET, ip.source);
    put_address(addresses, AF_INET, ip.destination);
    finish_checksum(behind_, addresses);
    const std::size_t size = kIpv4Header + ip.options.size();
    Bytes header{static_cast<std::uint8_t>(0x40U | ip.header_length.value_or(size / 4)), 0};
    put16(header,
          ip.total_length.value_or(static_cast<std::uint16_t>(size + behind_.bytes.size())));
    put16(header, ip.id);
    put16(header, (ip.dont_fragment ? 0x4000U : 0U) | (ip.more_fragments ? 0x2000U : 0U) |
                      ip.fragment_offset);
    header.push_back(ip.ttl);
    header.push_back(ip.protocol.value_or(behind_.protocol.value_or(IPPROTO_RAW)));
    put16(header, 0);
    header.insert(header.end(), addresses.begin(), addresses.end());
    header.insert(header.end(), ip.options.begin(), ip.options.end());
    set16(header, 10, internet_checksum(header));
    prepend(behind_, header, IPPROTO_IPIP);
  }

  void operator()(const Ipv6& ip) {
    Bytes addresses;
    put_address(addresses, AF_INET6, ip.source);
    put_address(addresses, AF_INET6, ip.destination);
    finish_checksum6(addresses);
    Bytes header{0x60, 0, 0, 0};
    put16(header, ip.payload_length.value_or(static_cast<std::uint16_t>(behind_.bytes.size())));
    header.push_back(next_of(ip.next_header, behind_));
    header.push_back(ip.hop_limit);
    header.insert(header.end(), addresses.begin(), addresses.end());
    prepend(behind_, header, IPPROTO_IPV6);
  }

  [[nodiscard]] Bytes take() { return std::move(behind_.bytes); }

 private:
  void transport(const Bytes& header, std::uint8_t protocol, std::size_t checksum_at) {
    prepend(behind_, header, protocol);
    behind_.checksum_at = checksum_at;
    behind_.transport = protocol;
    transport_size_ = behind_.bytes.size();
  }

  // Extension headers stand between the addresses and what is summed.
  void finish_checksum6(const Bytes& addresses) {
    if (!behind_.checksum_at) return;
    const auto start = static_cast<std::ptrdiff_t>(behind_.bytes.size() - transport_size_);
    Behind transport{
        {behind_.bytes.begin() + start, behind_.bytes.end()}, {}, {}, behind_.transport};
    transport.checksum_at = *behind_.checksum_at - static_cast<std::size_t>(start);
    finish_checksum(transport, addresses);
    std::ranges::copy(transport.bytes, behind_.bytes.begin() + start);
    behind_.checksum_at.reset();
  }

  bool ipv6_;
  Behind behind_;
  std::size_t transport_size_ = 0;
};

}  // namespace

std::uint16_t internet_checksum(const Bytes& bytes, std::uint32_t before) {
  std::uint32_t total = before + sum(bytes);
  while (total >> 16U != 0) total = (total & 0xffffU) + (total >> 16U);
  return static_cast<std::uint16_t>(~total);
}

Bytes serialise(const Packet& packet) {
  const bool ipv6 = !packet.layers.empty() && std::holds_alternative<Ipv6>(packet.layers.front());
  Writer writer(ipv6);
  for (auto layer = packet.layers.rbegin(); layer != packet.layers.rend(); ++layer)
    std::visit(writer, *layer);
  return writer.take();
}

}  // namespace nfbpf::packet
