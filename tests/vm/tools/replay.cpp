// SPDX-License-Identifier: Apache-2.0
// nfbpf-replay: the same packets each time, to see whether anything on their way changed them.
//
//   nfbpf-replay send DEVICE MAC      out of an interface, to a neighbour that routes them
//   nfbpf-replay local                from raw sockets, so that they pass this host's output first
//   nfbpf-replay capture DEVICE       prints each IP packet that comes in, up to the last one that
//                                     "local" sends; says "ready" on standard error before the
//                                     first
//
// A printed line is "GSO_TYPE GSO_SIZE CHECKSUM_START: HEX" (linux/virtio_net.h), then the Ethernet
// frame. Packets go from 10.1.0.1 and fd01::1 to 10.2.0.1 and fd02::1.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "packet/packet.h"

namespace {

using namespace nfbpf::packet;

// struct virtio_net_hdr of linux/virtio_net.h, which C++ cannot read: it has a member "class".
struct Offload {
  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  std::uint16_t hdr_len = 0;
  std::uint16_t gso_size = 0;
  std::uint16_t csum_start = 0;
  std::uint16_t csum_offset = 0;
};
static_assert(sizeof(Offload) == 10);
constexpr std::uint8_t kNeedsChecksum = 1;
constexpr std::uint8_t kGsoTcp4 = 1;
constexpr std::uint8_t kGsoTcp6 = 4;

constexpr std::uint16_t kLastPort = 65535;
constexpr std::size_t kEthernet = 14;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "nfbpf-replay: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

Ipv4 ipv4(Ipv4 ip = {}) {
  ip.source = "10.1.0.1";
  ip.destination = "10.2.0.1";
  if (ip.id == 0) ip.id = 4711;
  return ip;
}

Ipv6 ipv6() {
  return {.source = "fd01::1", .destination = "fd02::1"};
}

std::vector<Packet> plain_packets() {
  const std::vector<std::uint8_t> record_route{7, 7, 4, 0, 0, 0, 0, 0};
  return {
      ipv4() / Udp{} / Payload{100, 1},
      ipv4({.ttl = 2, .dont_fragment = true}) / Udp{} / Payload{1, 2},
      ipv4({.options = {1, 1, 1, 0}}) / Udp{} / Payload{8},
      ipv4({.options = record_route}) / Udp{} / Payload{8},
      ipv4() / Tcp{.flags = 2, .options = 12},
      ipv4() / Tcp{.sequence = 1} / Payload{1400, 3},
      ipv4() / Icmp{.type = 0, .id = 7} / Payload{56},
      ipv4({.id = 9, .more_fragments = true}) / Udp{} / Payload{1400, 4},
      ipv4({.id = 9, .fragment_offset = 176, .protocol = 17}) / Payload{333, 5},
      ipv4({.protocol = 253}) / Payload{40, 6},
      ipv6() / Udp{} / Payload{100, 1},
      ipv6() / Tcp{.flags = 2, .options = 12},
      ipv6() / Tcp{.sequence = 1} / Payload{1400, 3},
      ipv6() / Icmp{.type = 129, .id = 7} / Payload{56},
      ipv6() / Options6{.type = 60, .size = 16} / Udp{} / Payload{9},
      ipv6() / Fragment6{.more = true, .id = 9} / Udp{} / Payload{1400, 4},
      ipv6() / Fragment6{.offset = 176, .id = 9, .next_header = 17} / Payload{333, 5},
      ipv6() / Authentication{} / Udp{} / Payload{8},
  };
}

// A packet that the next device without offload cuts into segments.
struct Super {
  Packet packet;
  std::uint8_t type;     // kGso...
  std::uint16_t header;  // bytes of the IP header
  std::uint16_t checksum_at;
};

std::vector<Super> super_packets() {
  return {
      {ipv4() / Tcp{.options = 12} / Payload{20000, 7}, kGsoTcp4, 20, 16},
      {ipv6() / Tcp{.options = 12} / Payload{20000, 8}, kGsoTcp6, 40, 16},
  };
}

constexpr std::uint16_t kSegment = 1000;

Offload offload_of(const Super& super) {
  Offload header{};
  header.flags = kNeedsChecksum;
  header.gso_type = super.type;
  header.gso_size = kSegment;
  header.hdr_len = static_cast<std::uint16_t>(kEthernet + super.header + 32);
  header.csum_start = static_cast<std::uint16_t>(kEthernet + super.header);
  header.csum_offset = super.checksum_at;
  return header;
}

nfbpf::UniqueFd packet_socket(const char* device, sockaddr_ll& address) {
  nfbpf::UniqueFd fd(::socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));
  if (!fd) die("packet socket");
  const int on = 1;
  if (::setsockopt(fd.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0)
    die("PACKET_VNET_HDR");
  const int room = 8 << 20;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
  address = {};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(::if_nametoindex(device));
  if (address.sll_ifindex == 0) die(std::string("device ") + device);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) die("bind");
  return fd;
}

std::array<std::uint8_t, 6> parse_mac(const char* text) {
  std::array<unsigned, 6> byte{};
  if (std::sscanf(text, "%x:%x:%x:%x:%x:%x", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4],
                  &byte[5]) != 6) {
    errno = EINVAL;
    die(std::string("MAC ") + text);
  }
  std::array<std::uint8_t, 6> mac{};
  for (std::size_t i = 0; i < mac.size(); ++i) mac[i] = static_cast<std::uint8_t>(byte[i]);
  return mac;
}

class Sender {
 public:
  Sender(const char* device, const char* mac)
      : fd_(packet_socket(device, address_)), mac_(parse_mac(mac)) {}

  void send(const Packet& packet, const Offload& offload) {
    const Bytes ip = serialise(packet);
    Bytes frame(sizeof(offload));
    std::memcpy(frame.data(), &offload, sizeof(offload));
    frame.insert(frame.end(), mac_.begin(), mac_.end());
    frame.insert(frame.end(), {2, 0, 0, 0, 0, 1});
    const unsigned type = ip[0] >> 4 == 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP;
    frame.push_back(static_cast<std::uint8_t>(type >> 8));
    frame.push_back(static_cast<std::uint8_t>(type));
    frame.insert(frame.end(), ip.begin(), ip.end());
    if (::send(fd_.get(), frame.data(), frame.size(), 0) < 0) die("send");
  }

 private:
  sockaddr_ll address_{};
  nfbpf::UniqueFd fd_;
  std::array<std::uint8_t, 6> mac_;
};

void send_all(const char* device, const char* mac) {
  Sender sender(device, mac);
  for (const Packet& packet : plain_packets()) sender.send(packet, {});
  for (const Super& super : super_packets()) sender.send(super.packet, offload_of(super));
}

// The kernel takes the whole IP header from us and sends it as it is.
void send_raw(const Bytes& bytes) {
  const bool v6 = bytes[0] >> 4 == 6;
  const nfbpf::UniqueFd fd(::socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW, IPPROTO_RAW));
  if (!fd) die("raw socket");
  sockaddr_in6 to6{};
  to6.sin6_family = AF_INET6;
  std::memcpy(&to6.sin6_addr, bytes.data() + 24, 16);
  sockaddr_in to4{};
  to4.sin_family = AF_INET;
  std::memcpy(&to4.sin_addr, bytes.data() + 16, 4);
  const auto* to = v6 ? reinterpret_cast<sockaddr*>(&to6) : reinterpret_cast<sockaddr*>(&to4);
  const socklen_t length = v6 ? sizeof(to6) : sizeof(to4);
  if (::sendto(fd.get(), bytes.data(), bytes.size(), 0, to, length) < 0) die("raw send");
}

void send_local() {
  for (const Packet& packet : plain_packets()) send_raw(serialise(packet));
  send_raw(serialise(ipv4() / Udp{.destination = kLastPort} / Payload{1}));
}

void print(const Offload& offload, const Bytes& frame) {
  std::printf("%u %u %u: ", offload.gso_type, offload.gso_size, offload.csum_start);
  for (const std::uint8_t byte : frame) std::printf("%02x", byte);
  std::printf("\n");
}

bool is_ip(const Bytes& frame) {
  const unsigned type = frame[12] << 8U | frame[13];
  return type == ETHERTYPE_IP || type == ETHERTYPE_IPV6;
}

bool is_last(const Bytes& frame) {
  return frame.size() > kEthernet + 24 && frame[kEthernet] == 0x45 && frame[kEthernet + 9] == 17 &&
         frame[kEthernet + 22] == 0xff && frame[kEthernet + 23] == 0xff;
}

void capture(const char* device) {
  sockaddr_ll from{};
  const auto fd = packet_socket(device, from);
  std::fprintf(stderr, "ready\n");
  for (;;) {
    Bytes frame(70000);
    Offload offload{};
    std::array<iovec, 2> parts{{{&offload, sizeof(offload)}, {frame.data(), frame.size()}}};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    const ssize_t got = ::recvmsg(fd.get(), &message, 0);
    if (got < static_cast<ssize_t>(sizeof(offload) + kEthernet)) die("receive");
    frame.resize(static_cast<std::size_t>(got) - sizeof(offload));
    if (from.sll_pkttype == PACKET_OUTGOING || !is_ip(frame)) continue;
    print(offload, frame);
    if (is_last(frame)) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "send" && argc == 4) {
    send_all(argv[2], argv[3]);
  } else if (what == "local" && argc == 2) {
    send_local();
  } else if (what == "capture" && argc == 3) {
    capture(argv[2]);
  } else {
    std::fprintf(stderr, "usage: nfbpf-replay send DEVICE MAC | local | capture DEVICE\n");
    return 1;
  }
  return 0;
}
