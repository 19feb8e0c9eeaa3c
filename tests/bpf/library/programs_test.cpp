// SPDX-License-Identifier: Apache-2.0
// The programs of the library: packets in, samples of the page out.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "abi/nfbpf.h"
#include "bpf/library/shown_program.h"
#include "packet/packet.h"

namespace nfbpf::library_test {
namespace {

using namespace packet;
using traffic_test::Met;
using Samples = std::map<std::string, std::string>;

class Programs : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "loading programs needs root";
  }
};

Met met(const Packet& packet) {
  const bool v6 = std::holds_alternative<Ipv6>(packet.layers.front());
  return {.bytes = serialise(packet),
          .ethertype = static_cast<std::uint16_t>(v6 ? 0x86dd : 0x0800)};
}

// As the module has it. The kernel runs no test with less than a header of these types, so a packet
// that is cut off has another one and the context tells the family, as in a hook.
Met met_at(nfbpf_direction direction, const Packet& packet, std::size_t size = ~std::size_t{0}) {
  Met one = met(packet);
  one.context = {direction, one.ethertype == 0x0800 ? 1U : 2U};
  if (size < one.bytes.size()) {
    one.bytes.resize(size);
    one.ethertype = 0x88cc;
  }
  return one;
}

// Cuts the packet at each length from 1 to all of it, and back; the program must stand it.
std::uint32_t run_cut_off(ShownProgram& program, const Packet& packet) {
  std::uint32_t answers = 0;
  for (std::size_t size = 1; size < serialise(packet).size(); ++size)
    answers += program.run(met_at(NFBPF_DIRECTION_IN, packet, size));
  return answers;
}

// The samples of which the series begins so.
Samples only(const Samples& samples, const std::string& beginning) {
  Samples some;
  for (const auto& [series, value] : samples)
    if (series.starts_with(beginning)) some[series] = value;
  return some;
}

std::string at(const Samples& samples, const std::string& series) {
  const auto found = samples.find(series);
  return found == samples.end() ? "0" : found->second;
}

std::string size_bucket(const char* family, const char* bound, const char* direction = "unknown") {
  return std::string("nfbpf_packet_size_bytes_bucket{direction=\"") + direction + "\",family=\"" +
         family + "\",le=\"" + bound + "\"}";
}

TEST_F(Programs, PacketSizeCountsInTheSlotOfTheHighestBit) {
  ShownProgram program("packet_size");
  for (const std::size_t payload : {28 - 28, 63 - 28, 64 - 28, 127 - 28, 1500 - 28})
    EXPECT_EQ(program.run(met(Ipv4{} / Udp{} / Payload{payload})), 1U);
  program.run(met_at(NFBPF_DIRECTION_IN, Ipv6{} / Udp{} / Payload{100}));
  const Samples samples = program.samples();
  EXPECT_EQ(at(samples, size_bucket("ipv4", "15.0")), "0");
  EXPECT_EQ(at(samples, size_bucket("ipv4", "31.0")), "1");
  EXPECT_EQ(at(samples, size_bucket("ipv4", "63.0")), "2");
  EXPECT_EQ(at(samples, size_bucket("ipv4", "127.0")), "4");
  EXPECT_EQ(at(samples, size_bucket("ipv4", "1023.0")), "4");
  EXPECT_EQ(at(samples, size_bucket("ipv4", "2047.0")), "5");
  EXPECT_EQ(at(samples, size_bucket("ipv4", "+Inf")), "5");
  EXPECT_EQ(at(samples, size_bucket("ipv6", "127.0", "in")), "0");
  EXPECT_EQ(at(samples, size_bucket("ipv6", "255.0", "in")), "1");
  EXPECT_EQ(only(samples, "nfbpf_packet_size_bytes_sum"),
            (Samples{{R"(nfbpf_packet_size_bytes_sum{direction="in",family="ipv6"})", "148"},
                     {R"(nfbpf_packet_size_bytes_sum{direction="unknown",family="ipv4"})",
                      std::to_string(28 + 63 + 64 + 127 + 1500)}}));
}

// 3 segments of 1000 bytes and one of 200, each behind 40 bytes of headers.
TEST_F(Programs, PacketSizeSeesTheSegmentsOfAGsoPacket) {
  ShownProgram program("packet_size");
  Met gso = met(Ipv4{} / Tcp{} / Payload{3200});
  gso.gso_size = 1000;
  gso.gso_segments = 4;
  program.run(gso);
  const Samples samples = program.samples();
  EXPECT_EQ(at(samples, size_bucket("ipv4", "127.0")), "0");
  EXPECT_EQ(at(samples, size_bucket("ipv4", "255.0")), "1");
  EXPECT_EQ(at(samples, size_bucket("ipv4", "1023.0")), "1");
  EXPECT_EQ(at(samples, size_bucket("ipv4", "2047.0")), "4");
  EXPECT_EQ(at(samples, R"(nfbpf_packet_size_bytes_sum{direction="unknown",family="ipv4"})"),
            "3360");
}

TEST_F(Programs, PacketSizeTakesTheMeanWhereTheSegmentsDoNotFit) {
  ShownProgram program("packet_size");
  Met gso = met(Ipv4{} / Tcp{} / Payload{3200});
  gso.gso_size = 60000;
  gso.gso_segments = 4;
  program.run(gso);
  EXPECT_EQ(at(program.samples(), size_bucket("ipv4", "1023.0")), "4");
  EXPECT_EQ(at(program.samples(), size_bucket("ipv4", "511.0")), "0");
}

TEST_F(Programs, PacketSizeCountsWhatIsCutOff) {
  ShownProgram program("packet_size");
  EXPECT_EQ(run_cut_off(program, Ipv6{} / Udp{} / Payload{8}), 55U);
  EXPECT_EQ(at(program.samples(), size_bucket("ipv6", "+Inf", "in")), "55");
}

std::string icmp(const char* direction, const char* family, const char* source, int type) {
  return std::string("nfbpf_icmp_messages_total{direction=\"") + direction + "\",family=\"" +
         family + "\",source=\"" + source + "\",type=\"" + std::to_string(type) + "\"}";
}

TEST_F(Programs, IcmpCountsBySourceAndType) {
  ShownProgram program("icmp");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(program.run(met(Ipv4{} / Icmp{.type = 8})), 1U);
  EXPECT_EQ(program.run(met(Ipv4{.source = "192.0.2.7"} / Icmp{.type = 3})), 1U);
  EXPECT_EQ(program.run(met_at(NFBPF_DIRECTION_OUT, Ipv6{} / Options6{} / Icmp{.type = 135})), 1U);
  EXPECT_EQ(program.samples(), (Samples{{icmp("unknown", "ipv4", "10.1.0.1", 8), "3"},
                                        {icmp("unknown", "ipv4", "192.0.2.7", 3), "1"},
                                        {icmp("out", "ipv6", "fd01::1", 135), "1"}}));
}

TEST_F(Programs, IcmpLeavesOutWhatIsNone) {
  ShownProgram program("icmp");
  const Packet none[] = {
      Ipv4{} / Udp{},
      Ipv6{} / Tcp{},
      Ipv4{.protocol = 58} / Icmp{},                       // ICMPv6 behind IPv4
      Ipv6{.next_header = 1} / Icmp{},                     // and the other way round
      Ipv4{.fragment_offset = 5, .protocol = 1} / Icmp{},  // no type there
      Ipv6{} / Fragment6{.offset = 5} / Icmp{},
      Ipv4{.protocol = 1, .header_length = 4} / Icmp{},
  };
  for (const Packet& packet : none) EXPECT_EQ(program.run(met(packet)), 0U);
  Met other = met(Ipv4{} / Icmp{});
  other.ethertype = 0x88cc;
  EXPECT_EQ(program.run(other), 0U);
  EXPECT_EQ(program.samples(), Samples{});
}

TEST_F(Programs, IcmpNeedsTheTypeAndNoMore) {
  ShownProgram program("icmp");
  EXPECT_EQ(run_cut_off(program, Ipv4{} / Icmp{}), 7U);
  EXPECT_EQ(run_cut_off(program, Ipv6{} / Icmp{.type = 128}), 7U);
  EXPECT_EQ(program.samples(), (Samples{{icmp("in", "ipv4", "10.1.0.1", 8), "7"},
                                        {icmp("in", "ipv6", "fd01::1", 128), "7"}}));
}

TEST_F(Programs, IcmpCountsWhatFindsNoRowAsOverflow) {
  ShownProgram program("icmp", "nfbpf_icmp", 2);
  for (int i = 1; i <= 5; ++i)
    program.run(met(Ipv4{.source = "10.1.0." + std::to_string(i)} / Icmp{}));
  const Samples samples = program.samples();
  EXPECT_EQ(only(samples, "nfbpf_icmp_").size(), 2U);
  EXPECT_EQ(
      only(samples, "nfbpf_overflow_packets"),
      (Samples{{R"(nfbpf_overflow_packets_total{direction="unknown",family="ipv4",reason="full"})",
                "3"}}));
}

TEST_F(Programs, DenyCountsWhatItLists) {
  ShownProgram program("deny");
  const std::uint8_t listed[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 0, 2};
  const std::vector<traffic_test::Count> zero(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  ASSERT_EQ(bpf_map_update_elem(program.map("nfbpf_denied"), listed, zero.data(), BPF_ANY), 0);
  EXPECT_EQ(program.run(met(Ipv4{} / Udp{} / Payload{72})), 1U);
  EXPECT_EQ(program.run(met(Ipv4{.destination = "10.1.0.3"} / Udp{})), 0U);
  EXPECT_EQ(program.run(met(Ipv6{} / Udp{})), 0U);
  EXPECT_EQ(run_cut_off(program, Ipv4{} / Payload{}), 0U);
  EXPECT_EQ(program.samples(),
            (Samples{{R"(nfbpf_denied_packets_total{destination="::ffff:10.1.0.2"})", "1"},
                     {R"(nfbpf_denied_bytes_total{destination="::ffff:10.1.0.2"})", "100"}}));
}

constexpr std::uint8_t kSyn = 0x02, kRst = 0x04, kAck = 0x10;

Packet syn(std::uint32_t sequence = 100, std::uint16_t port = 40000) {
  return Ipv4{} / Tcp{.source = port, .destination = 443, .flags = kSyn, .sequence = sequence};
}

Packet from_server(std::uint8_t flags, std::uint32_t acknowledgment, std::uint16_t port = 40000) {
  return Ipv4{.source = "10.1.0.2", .destination = "10.1.0.1"} /
         Tcp{.source = 443,
             .destination = port,
             .flags = flags,
             .sequence = 7,
             .acknowledgment = acknowledgment};
}

// The server of the packets above.
std::string tcp(const char* what) {
  return std::string("nfbpf_tcp_handshake_") + what + R"({family="ipv4",server="10.1.0.2"})";
}

TEST_F(Programs, HandshakeTimesTheFirstSynToTheFirstSynAck) {
  ShownProgram program("tcp_handshake");
  EXPECT_EQ(program.run(met(syn())), 1U);
  EXPECT_EQ(program.run(met(syn())), 1U);  // sent again
  EXPECT_EQ(at(program.samples(), tcp("attempts_total")), "1");
  EXPECT_EQ(at(program.samples(), tcp("latency_seconds_count")), "0");
  EXPECT_EQ(program.run(met(from_server(kSyn | kAck, 101))), 1U);
  EXPECT_EQ(program.run(met(from_server(kSyn | kAck, 101))), 1U);
  EXPECT_EQ(program.run(met(from_server(kAck, 102))), 0U);
  const Samples samples = program.samples();
  EXPECT_EQ(at(samples, tcp("latency_seconds_count")), "1");
  EXPECT_EQ(at(samples, tcp("attempts_total")), "1");
  EXPECT_EQ(only(samples, "nfbpf_pending"), Samples{}) << "that map is the program's own";
  const double seconds = std::stod(at(samples, tcp("latency_seconds_sum")));
  EXPECT_GT(seconds, 0);
  EXPECT_LT(seconds, 10);
}

TEST_F(Programs, HandshakeTakesNoAnswerToAnotherSyn) {
  ShownProgram program("tcp_handshake");
  program.run(met(syn()));
  program.run(met(from_server(kSyn | kAck, 99)));
  program.run(met(from_server(kSyn | kAck, 101, 40001)));
  EXPECT_EQ(program.samples(), (Samples{{tcp("attempts_total"), "1"}}));
}

TEST_F(Programs, HandshakeTellsRefusalsFromResets) {
  ShownProgram program("tcp_handshake");
  program.run(met(syn()));
  EXPECT_EQ(program.run(met(from_server(kRst | kAck, 101))), 1U);
  program.run(met(from_server(kRst | kAck, 101)));
  program.run(met(Ipv4{} / Tcp{.source = 40000, .destination = 443, .flags = kRst}));
  EXPECT_EQ(program.samples(), (Samples{{tcp("attempts_total"), "1"},
                                        {tcp("refused_total"), "1"},
                                        {tcp("resets_total"), "2"}}));
}

TEST_F(Programs, HandshakeOfIpv6BehindExtensionHeaders) {
  ShownProgram program("tcp_handshake");
  program.run(met(Ipv6{} / Options6{} / Tcp{.flags = kSyn, .sequence = ~0U}));
  program.run(met(Ipv6{.source = "fd01::2", .destination = "fd01::1"} /
                  Tcp{.source = 80, .destination = 1024, .flags = kSyn | kAck}));
  EXPECT_EQ(at(program.samples(),
               R"(nfbpf_tcp_handshake_latency_seconds_count{family="ipv6",server="fd01::2"})"),
            "1");
}

// Writes `since` into every place that is taken, as if the requests had been met at that time.
void age(const ShownProgram& program) {
  constexpr std::size_t kSince = 48;
  std::vector<std::byte> state(kSince + 8);
  std::vector<std::uint32_t> places;  // first: an update moves a row within its bucket
  std::uint32_t next = 0;
  const int map = program.map("nfbpf_pending");
  const void* from = nullptr;
  while (bpf_map_get_next_key(map, from, &next) == 0) {
    places.push_back(next);
    from = &places.back();
  }
  for (const std::uint32_t place : places) {
    ASSERT_EQ(bpf_map_lookup_elem(map, &place, state.data()), 0);
    std::fill(state.begin() + kSince, state.end(), std::byte{0});
    ASSERT_EQ(bpf_map_update_elem(map, &place, state.data(), BPF_EXIST), 0);
  }
}

TEST_F(Programs, HandshakeCountsEachAttemptInOnePlace) {
  ShownProgram program("tcp_handshake");
  constexpr int kAttempts = 600;  // enough that some share a place
  for (int i = 0; i < kAttempts; ++i) program.run(met(syn(static_cast<std::uint32_t>(i))));
  const auto number = [&](const char* what) { return std::stoi(at(program.samples(), tcp(what))); };
  EXPECT_EQ(number("attempts_total"), kAttempts);
  EXPECT_EQ(number("abandoned_total"), 0);
  const int waiting = kAttempts - number("untimed_total");
  EXPECT_GT(waiting, kAttempts * 4 / 5);
  EXPECT_LT(waiting, kAttempts);
  age(program);
  for (int i = 0; i < kAttempts; ++i) program.run(met(syn(static_cast<std::uint32_t>(i))));
  EXPECT_EQ(number("abandoned_total"), waiting) << "their places were wanted";
  EXPECT_EQ(number("attempts_total"), 2 * kAttempts);
  EXPECT_EQ(number("untimed_total"), 2 * (kAttempts - waiting));
}

TEST_F(Programs, HandshakeStandsWhatIsCutOff) {
  ShownProgram program("tcp_handshake");
  EXPECT_EQ(run_cut_off(program, syn()), 6U) << "14 of the header's 20 bytes will do";
  EXPECT_EQ(run_cut_off(program, Ipv6{} / Tcp{.flags = kRst}), 6U);
  EXPECT_EQ(program.run(met(Ipv4{.fragment_offset = 3} / Tcp{.flags = kSyn})), 0U);
  EXPECT_EQ(program.run(met(Ipv4{} / Udp{})), 0U);
}

Packet query(std::uint8_t id, std::uint16_t port = 40000) {
  return Ipv4{} / Udp{.source = port, .destination = 53} /
         Raw{{0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}};
}

Packet response(std::uint8_t id, std::uint8_t rcode, std::uint16_t port = 40000) {
  return Ipv4{.source = "10.1.0.2", .destination = "10.1.0.1"} /
         Udp{.source = 53, .destination = port} /
         Raw{{0, id, 0x81, static_cast<std::uint8_t>(0x80 | rcode), 0, 1, 0, 0, 0, 0, 0, 0}};
}

std::string dns(const char* what) {
  return std::string("nfbpf_dns_") + what + R"({family="ipv4",server="10.1.0.2"})";
}

std::string dns_responses(const char* rcode) {
  return std::string(R"(nfbpf_dns_responses_total{family="ipv4",rcode=")") + rcode +
         R"(",server="10.1.0.2"})";
}

TEST_F(Programs, DnsMatchesByClientPortAndId) {
  ShownProgram program("dns");
  EXPECT_EQ(program.run(met(query(1))), 1U);
  EXPECT_EQ(program.run(met(query(1))), 1U);  // sent again
  EXPECT_EQ(program.run(met(query(2))), 1U);
  EXPECT_EQ(program.run(met(response(1, 0))), 1U);
  EXPECT_EQ(program.run(met(response(1, 0))), 1U);  // twice
  EXPECT_EQ(program.run(met(response(3, 3))), 1U);  // to nobody's query
  EXPECT_EQ(program.run(met(response(2, 12, 40001))), 1U);
  const Samples samples = program.samples();
  EXPECT_EQ(at(samples, dns("queries_total")), "2");
  EXPECT_EQ(at(samples, dns("latency_seconds_count")), "1");
  EXPECT_EQ(only(samples, "nfbpf_dns_responses"), (Samples{{dns_responses("noerror"), "2"},
                                                           {dns_responses("nxdomain"), "1"},
                                                           {dns_responses("12"), "1"}}));
}

TEST_F(Programs, DnsLeavesOutWhatIsNone) {
  ShownProgram program("dns");
  const Packet none[] = {
      Ipv4{} / Udp{} / Payload{12},
      Ipv4{} / Udp{.destination = 53} / Raw{{0, 1, 0x80, 0}},  // a response to port 53
      Ipv4{} / Udp{.source = 53} / Raw{{0, 1, 1, 0}},          // a query from there
      Ipv4{} / Tcp{.destination = 53},
  };
  for (const Packet& packet : none) EXPECT_EQ(program.run(met(packet)), 0U);
  EXPECT_EQ(run_cut_off(program, query(1)), 8U) << "id and flags will do";
  EXPECT_EQ(program.run(met(Ipv6{} / Udp{.destination = 53} / Raw{{0, 1, 1, 0}})), 1U);
  const Samples queries = only(program.samples(), "nfbpf_dns_queries");
  EXPECT_EQ(queries,
            (Samples{{dns("queries_total"), "1"},
                     {R"(nfbpf_dns_queries_total{family="ipv6",server="fd01::2"})", "1"}}));
}

TEST_F(Programs, DnsCountsEachQueryInOnePlace) {
  ShownProgram program("dns");
  constexpr int kQueries = 600;
  const auto send = [&](std::uint8_t id) {
    for (int i = 0; i < kQueries; ++i)
      program.run(met(query(id, static_cast<std::uint16_t>(1024 + i))));
  };
  const auto number = [&](const char* what) { return std::stoi(at(program.samples(), dns(what))); };
  send(1);
  EXPECT_EQ(number("queries_total"), kQueries);
  const int waiting = kQueries - number("untimed_total");
  EXPECT_GT(waiting, kQueries * 4 / 5);
  EXPECT_LT(waiting, kQueries);
  age(program);
  send(1);
  EXPECT_EQ(number("abandoned_total"), waiting);
  EXPECT_EQ(number("queries_total"), 2 * kQueries);
}

}  // namespace
}  // namespace nfbpf::library_test
