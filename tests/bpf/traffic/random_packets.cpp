// SPDX-License-Identifier: Apache-2.0
#include "bpf/traffic/random_packets.h"

#include "abi/nfbpf.h"

namespace nfbpf::traffic_test {

using namespace packet;

std::string RandomPackets::host(bool ipv6) {
  const std::string number = std::to_string(1 + below(6));
  if (!ipv6) return (one_in(3) ? "192.0.2." : "10.1.0.") + number;
  return (one_in(3) ? "2001:db8::" : "fd01:0:0:1::") + number;
}

Packet RandomPackets::with_transport(Packet packet, bool ipv6) {
  const auto port = [&] {
    return static_cast<std::uint16_t>(one_in(2) ? 50 + below(5) : 1024 + below(60000));
  };
  const std::size_t size = below(200);
  switch (below(6)) {
    case 0:
    case 1:
      return packet / Udp{port(), port()} / Payload{size, 1};
    case 2:
    case 3:
      return packet /
             Tcp{.source = port(),
                 .destination = port(),
                 .flags = static_cast<std::uint8_t>(below(64)),
                 .options = below(11) * 4} /
             Payload{size, 2};
    case 4:
      return packet /
             Icmp{static_cast<std::uint8_t>(ipv6 ? 128 + below(3) : below(12)),
                  static_cast<std::uint8_t>(below(4))} /
             Payload{size};
    default:
      return packet / Payload{size, 3};
  }
}

Packet RandomPackets::with_extensions(Packet packet) {
  for (unsigned left = below(10); left > 0; --left) {
    switch (below(5)) {
      case 0:
        packet = packet / Options6{.type = 0, .size = 8 + below(3) * 8};
        break;
      case 1:
        packet = packet / Options6{.type = 43, .size = 8 + below(3) * 8};
        break;
      case 2:
        packet = packet / Fragment6{.offset = static_cast<std::uint16_t>(one_in(3) ? below(9) : 0),
                                    .more = one_in(2)};
        break;
      case 3:
        packet = packet / Authentication{.size = 12 + below(4) * 4};
        break;
      default:
        packet = packet / Options6{.type = 60, .size = 8 + below(3) * 8};
    }
  }
  return packet;
}

Bytes RandomPackets::ipv4() {
  Ipv4 ip{.source = host(false), .destination = host(false)};
  ip.options.assign(one_in(4) ? below(11) * 4 : 0, 1);
  if (one_in(6)) ip.fragment_offset = static_cast<std::uint16_t>(below(0x2000));
  ip.more_fragments = one_in(6);
  ip.dont_fragment = one_in(2);
  if (one_in(5)) ip.protocol = static_cast<std::uint8_t>(below(256));
  if (one_in(20)) ip.header_length = static_cast<std::uint8_t>(below(16));
  return serialise(with_transport(Packet{{ip}}, false));
}

Bytes RandomPackets::ipv6() {
  Ipv6 ip{.source = host(true), .destination = host(true)};
  Packet packet{{ip}};
  if (one_in(2)) packet = with_extensions(packet);
  return serialise(with_transport(packet, true));
}

// Without a context a packet comes by xt_bpf; with one it comes by the module.
void RandomPackets::set_context(Met& met, bool ipv6) {
  if (one_in(5)) return;
  met.context = {1 + below(5), ipv6 ? NFBPF_FAMILY_IPV6 : NFBPF_FAMILY_IPV4, below(5), below(5),
                 4026531840U + below(3)};
}

void RandomPackets::damage(Bytes& bytes) {
  if (one_in(6)) bytes.resize(1 + below(static_cast<unsigned>(bytes.size())));
  if (one_in(10))
    for (unsigned i = below(4); i > 0; --i)
      bytes[below(static_cast<unsigned>(bytes.size()))] = static_cast<std::uint8_t>(below(256));
}

Met RandomPackets::next() {
  Met met;
  const bool v6 = one_in(2);
  met.bytes = v6 ? ipv6() : ipv4();
  met.ethertype = v6 ? 0x86dd : 0x0800;
  set_context(met, v6);
  if (met.context[0] == 0 && one_in(20)) met.ethertype = 0x88cc;
  if (one_in(5)) {
    met.gso_size = 1 + below(100);
    if (one_in(2)) met.gso_segments = 1 + below(40);
  }
  damage(met.bytes);
  // BPF_PROG_TEST_RUN takes no packet of these types without its whole header (since about 6.18);
  // a hook may meet one, and then the context says what it was to be.
  if (met.bytes.size() < (v6 ? 40U : 20U)) met.ethertype = 0x88cc;
  return met;
}

}  // namespace nfbpf::traffic_test
