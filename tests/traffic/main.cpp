// SPDX-License-Identifier: Apache-2.0
// nfbpf-traffic: sends a counted number of packets, for tests only. Prints "PACKETS BYTES", bytes
// being those of the IP packets, so that a test compares them with what was counted elsewhere.
// Sends to loopback, or to addresses inside the network namespace that the test made.
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <sys/socket.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"

namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] bool ipv6() const { return storage.ss_family == AF_INET6; }
  [[nodiscard]] std::size_t header() const { return ipv6() ? 40 : 20; }
};

struct Load {
  std::string to;
  std::uint16_t port = 9;  // discard, RFC 863
  std::uint64_t count = 1;
  std::size_t payload = 16;
  unsigned gso_segment = 0;  // UDP_SEGMENT: bytes per segment, 0 for none
  std::vector<int> cpus;     // one thread on each; none: one thread anywhere
  std::string type = "request";
  std::uint64_t sources = 0;  // of a flood: so many, in turn; 0: each packet has its own
};

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "nfbpf-traffic: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

Address parse(const std::string& text, std::uint16_t port) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length = sizeof(*v4);
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.length = sizeof(*v6);
  } else {
    errno = EINVAL;
    die("address " + text);
  }
  return address;
}

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (::sched_setaffinity(0, sizeof(set), &set) != 0) die("pin to CPU " + std::to_string(cpu));
}

nfbpf::UniqueFd udp_socket(const Address& to, const Load& load) {
  nfbpf::UniqueFd fd(::socket(to.storage.ss_family, SOCK_DGRAM, 0));
  if (!fd) die("socket");
  const int segment = static_cast<int>(load.gso_segment);
  if (segment != 0 &&
      ::setsockopt(fd.get(), SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) != 0) {
    die("UDP_SEGMENT " + std::to_string(segment));
  }
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.length) != 0) {
    die("connect to " + load.to);
  }
  return fd;
}

nfbpf::UniqueFd icmp_socket(const Address& to, const Load& load) {
  nfbpf::UniqueFd fd(::socket(to.storage.ss_family, SOCK_RAW,
                              to.ipv6() ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP}));
  if (!fd) die("raw socket");
  // Nothing is read here: a full receive queue would only cost memory.
  const int small = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  Address target = to;
  reinterpret_cast<sockaddr_in*>(&target.storage)->sin_port = 0;
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&target.storage), to.length) != 0) {
    die("connect to " + load.to);
  }
  return fd;
}

// RFC 792, RFC 4443. The kernel fills in the checksum of ICMPv6.
std::vector<unsigned char> icmp_message(const Address& to, const Load& load) {
  std::vector<unsigned char> message(8 + load.payload);
  const bool reply = load.type == "reply";
  if (to.ipv6()) {
    message[0] = reply ? ICMP6_ECHO_REPLY : ICMP6_ECHO_REQUEST;
    return message;
  }
  message[0] = reply ? ICMP_ECHOREPLY : ICMP_ECHO;
  // All else is zero, so the sum is the type alone.
  const std::uint16_t sum = static_cast<std::uint16_t>(~(message[0] << 8));
  message[2] = static_cast<unsigned char>(sum >> 8);
  message[3] = static_cast<unsigned char>(sum & 0xff);
  return message;
}

// A raw socket whose packets wait in a queue below says ENOBUFS before it makes another, and a
// connected one says ECONNREFUSED for an earlier packet's ICMP answer. Neither was sent.
bool may_try_again() {
  return errno == ENOBUFS || errno == ECONNREFUSED || errno == EINTR;
}

constexpr std::size_t kBatch = 64;  // messages per system call

std::uint64_t send_all(int fd, std::vector<unsigned char> message, std::uint64_t count) {
  iovec part{message.data(), message.size()};
  std::array<mmsghdr, kBatch> batch{};
  for (mmsghdr& one : batch) {
    one.msg_hdr.msg_iov = &part;
    one.msg_hdr.msg_iovlen = 1;
  }
  std::uint64_t sent = 0;
  while (sent < count) {
    const auto wanted = static_cast<unsigned>(std::min<std::uint64_t>(kBatch, count - sent));
    const int done = ::sendmmsg(fd, batch.data(), wanted, 0);
    if (done > 0) {
      sent += static_cast<std::uint64_t>(done);
    } else if (may_try_again()) {
      ::sched_yield();
    } else {
      die("send");
    }
  }
  return sent;
}

// `body` gets the number of its thread.
template <typename Body>
std::uint64_t on_cpus(const std::vector<int>& cpus, Body body) {
  if (cpus.empty()) return body(std::size_t{0});
  std::atomic<std::uint64_t> sum{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    threads.emplace_back([&sum, &body, i, cpu = cpus[i]] {
      pin_to(cpu);
      sum += body(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return sum;
}

void report(std::uint64_t messages, const Load& load, const Address& to, std::size_t transport) {
  const std::size_t headers = to.header() + transport;
  std::uint64_t segments = 1;
  if (load.gso_segment != 0) segments = (load.payload + load.gso_segment - 1) / load.gso_segment;
  std::printf("%llu %llu\n", static_cast<unsigned long long>(messages * segments),
              static_cast<unsigned long long>(messages * (load.payload + segments * headers)));
}

void run_udp(const Load& load) {
  const Address to = parse(load.to, load.port);
  const std::vector<unsigned char> message(load.payload);
  const std::uint64_t sent = on_cpus(load.cpus, [&](std::size_t) {
    return send_all(udp_socket(to, load).get(), message, load.count);
  });
  report(sent, load, to, 8);
}

void run_icmp(const Load& load) {
  const Address to = parse(load.to, 0);
  const auto message = icmp_message(to, load);
  const std::uint64_t sent = on_cpus(load.cpus, [&](std::size_t) {
    return send_all(icmp_socket(to, load).get(), message, load.count);
  });
  report(sent, load, to, 8);
}

// UDP from a source that nobody has: a raw socket takes the IP header as it is (raw(7),
// IPV6_HDRINCL).
class Spoofed {
 public:
  Spoofed(const Address& to, std::size_t payload)
      : ipv6_(to.ipv6()), bytes_(to.header() + sizeof(udphdr) + payload) {
    const auto length = static_cast<std::uint16_t>(sizeof(udphdr) + payload);
    if (ipv6_) {
      bytes_[0] = 0x60;
      put(4, length);
      bytes_[6] = IPPROTO_UDP;
      bytes_[7] = 64;
      bytes_[8] = 0xfd;
      copy(24, &reinterpret_cast<const sockaddr_in6*>(&to.storage)->sin6_addr, 16);
    } else {
      bytes_[0] = 0x45;
      bytes_[8] = 64;
      bytes_[9] = IPPROTO_UDP;
      copy(16, &reinterpret_cast<const sockaddr_in*>(&to.storage)->sin_addr, 4);
    }
    put(to.header() + 2, 9);
    put(to.header() + 4, length);
  }
  // 11.0.0.0/8, or fd00::/96, in which `source` is the last four bytes; at most 2^24.
  std::vector<unsigned char>& from(std::uint32_t source) {
    const std::uint32_t word = htonl(ipv6_ ? source : (11U << 24U) + source);
    copy(ipv6_ ? 20 : 12, &word, sizeof(word));
    return bytes_;
  }

 private:
  void put(std::size_t at, std::uint16_t number) {
    number = htons(number);
    copy(at, &number, sizeof(number));
  }
  void copy(std::size_t at, const void* from, std::size_t size) {
    std::memcpy(bytes_.data() + at, from, size);
  }
  bool ipv6_;
  std::vector<unsigned char> bytes_;
};

std::uint64_t send_spoofed(const Address& to, const Load& load, std::size_t thread) {
  const nfbpf::UniqueFd fd(::socket(to.storage.ss_family, SOCK_RAW, IPPROTO_RAW));
  if (!fd) die("raw socket");
  Address target = to;
  reinterpret_cast<sockaddr_in*>(&target.storage)->sin_port = 0;
  Spoofed packet(to, load.payload);
  for (std::uint64_t i = 0; i < load.count;) {
    const std::uint64_t source = load.sources == 0 ? thread * load.count + i : i % load.sources;
    const auto& bytes = packet.from(static_cast<std::uint32_t>(source));
    if (::sendto(fd.get(), bytes.data(), bytes.size(), 0,
                 reinterpret_cast<const sockaddr*>(&target.storage), to.length) >= 0) {
      ++i;
    } else if (may_try_again()) {
      ::sched_yield();
    } else {
      die("send");
    }
  }
  return load.count;
}

void run_flood(const Load& load) {
  const Address to = parse(load.to, 0);
  const std::uint64_t sent =
      on_cpus(load.cpus, [&](std::size_t thread) { return send_spoofed(to, load, thread); });
  report(sent, load, to, sizeof(udphdr));
}

// Large writes, so that TCP hands down segments as large as it may.
void run_tcp(const Load& load) {
  const Address to = parse(load.to, load.port);
  const nfbpf::UniqueFd fd(::socket(to.storage.ss_family, SOCK_STREAM, 0));
  if (!fd) die("socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.length) != 0) {
    die("connect to " + load.to);
  }
  const std::vector<unsigned char> message(load.payload);
  for (std::uint64_t i = 0; i < load.count; ++i) {
    for (std::size_t at = 0; at < message.size();) {
      const ssize_t done = ::send(fd.get(), message.data() + at, message.size() - at, 0);
      if (done < 0) die("send");
      at += static_cast<std::size_t>(done);
    }
  }
  std::printf("%llu\n", static_cast<unsigned long long>(load.count * load.payload));
}

// Reads one connection to its end and prints how many bytes came; "listening" when it can be had.
void run_sink(const Load& load) {
  const Address here = parse(load.to, load.port);
  const nfbpf::UniqueFd listener(::socket(here.storage.ss_family, SOCK_STREAM, 0));
  const int yes = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&here.storage), here.length) != 0 ||
      ::listen(listener.get(), 1) != 0) {
    die("listen on " + load.to);
  }
  std::printf("listening\n");
  std::fflush(stdout);
  const nfbpf::UniqueFd fd(::accept(listener.get(), nullptr, nullptr));
  if (!fd) die("accept");
  std::vector<unsigned char> room(1U << 20U);
  std::uint64_t bytes = 0;
  for (;;) {
    const ssize_t got = ::recv(fd.get(), room.data(), room.size(), 0);
    if (got < 0) die("receive");
    if (got == 0) break;
    bytes += static_cast<std::uint64_t>(got);
  }
  std::printf("%llu\n", static_cast<unsigned long long>(bytes));
}

}  // namespace

int main(int argc, char** argv) {
  Load load;
  CLI::App app{"Sends a counted number of packets."};
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--to", load.to, "address")->required();
  app.add_option("--count", load.count, "messages per thread")->capture_default_str();
  app.add_option("--payload", load.payload, "bytes behind the UDP or ICMP header")
      ->capture_default_str();
  app.add_option("--cpu", load.cpus, "a thread on each of these CPUs")->delimiter(',');
  CLI::App* udp = app.add_subcommand("udp", "UDP datagrams");
  udp->add_option("--port", load.port)->capture_default_str();
  udp->add_option("--gso-segment", load.gso_segment,
                  "let the kernel cut the payload (UDP_SEGMENT)");
  CLI::App* icmp = app.add_subcommand("icmp", "ICMP or ICMPv6 echo messages from a raw socket");
  icmp->add_option("--type", load.type)->check(CLI::IsMember({"request", "reply"}));
  CLI::App* flood = app.add_subcommand("flood", "UDP, each packet from another spoofed source");
  flood->add_option("--sources", load.sources, "so many sources, in turn");
  CLI::App* tcp = app.add_subcommand("tcp", "one connection, --count writes of --payload bytes");
  CLI::App* sink = app.add_subcommand("sink", "takes one connection at --to and reads it");
  for (CLI::App* stream : {tcp, sink}) stream->add_option("--port", load.port);
  CLI11_PARSE(app, argc, argv);
  if (udp->parsed()) run_udp(load);
  if (icmp->parsed()) run_icmp(load);
  if (flood->parsed()) run_flood(load);
  if (tcp->parsed()) run_tcp(load);
  if (sink->parsed()) run_sink(load);
  return 0;
}
