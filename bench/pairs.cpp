// SPDX-License-Identifier: Apache-2.0
// nfbpf-pairs: sends to many destinations in turn and prints what a packet took, in nanoseconds of
// the monotonic clock. Under `scripts/vm --icount` one of them is one instruction.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace {

struct Load {
  std::string to;  // the first destination; the others follow it
  unsigned pairs = 1000;
  unsigned warm = 2;   // turns before anything is measured: every row exists after the first
  unsigned turns = 4;  // turns a sample is made of
  unsigned samples = 5;
  std::uint16_t port = 9;  // discard, RFC 863
};

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "nfbpf-pairs: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

nfbpf::UniqueFd udp_socket() {
  nfbpf::UniqueFd fd(::socket(AF_INET, SOCK_DGRAM, 0));
  if (!fd) die("socket");
  return fd;
}

std::vector<sockaddr_in> destinations(const Load& load) {
  in_addr first{};
  if (::inet_pton(AF_INET, load.to.c_str(), &first) != 1) {
    errno = EINVAL;
    die("address " + load.to);
  }
  std::vector<sockaddr_in> all(load.pairs);
  for (unsigned i = 0; i < load.pairs; ++i) {
    all[i].sin_family = AF_INET;
    all[i].sin_port = htons(load.port);
    all[i].sin_addr.s_addr = htonl(ntohl(first.s_addr) + i);
  }
  return all;
}

// One message to each destination; UIO_MAXIOV, 1024, bounds what one system call takes.
class Turn {
 public:
  explicit Turn(std::vector<sockaddr_in>& to) : batch_(to.size()) {
    part_ = {payload_, sizeof(payload_)};
    for (std::size_t i = 0; i < to.size(); ++i) {
      batch_[i].msg_hdr.msg_name = &to[i];
      batch_[i].msg_hdr.msg_namelen = sizeof(to[i]);
      batch_[i].msg_hdr.msg_iov = &part_;
      batch_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  void send(int fd) {
    const auto count = static_cast<unsigned>(batch_.size());
    if (::sendmmsg(fd, batch_.data(), count, 0) != static_cast<int>(count)) die("sendmmsg");
  }

 private:
  char payload_[16] = {};
  iovec part_{};
  std::vector<mmsghdr> batch_;
};

double sample(Turn& turn, int fd, const Load& load) {
  const auto start = std::chrono::steady_clock::now();
  for (unsigned i = 0; i < load.turns; ++i) turn.send(fd);
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  return took.count() / (static_cast<double>(load.turns) * load.pairs);
}

void run_send(const Load& load) {
  auto to = destinations(load);
  const auto fd = udp_socket();
  Turn turn(to);
  // A port of its own would be picked at the first message and make it dearer.
  sockaddr_in any{};
  any.sin_family = AF_INET;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)) != 0) die("bind");
  for (unsigned i = 0; i < load.warm; ++i) turn.send(fd.get());
  for (unsigned i = 0; i < load.samples; ++i) {
    std::printf("%s%.2f", i == 0 ? "" : " ", sample(turn, fd.get(), load));
  }
  std::printf("\n");
}

// Takes what is sent, until it is killed: its queue is full from the start, so each packet ends
// the same way.
void run_sink(const Load& load) {
  const auto fd = udp_socket();
  const int small = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(load.port);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)) != 0) die("bind");
  std::printf("ready\n");
  std::fflush(stdout);
  for (;;) ::pause();
}

}  // namespace

int main(int argc, char** argv) {
  Load load;
  CLI::App app{"Sends to many destinations in turn, and says what a packet took."};
  app.require_subcommand(1);
  CLI::App* send = app.add_subcommand("send", "prints the samples, nanoseconds per packet");
  send->add_option("--to", load.to, "the first IPv4 destination")->required();
  send->add_option("--pairs", load.pairs)->check(CLI::Range(1U, 1024U))->capture_default_str();
  send->add_option("--warm", load.warm, "turns before the first sample")->capture_default_str();
  send->add_option("--turns", load.turns, "turns in a sample")->capture_default_str();
  send->add_option("--samples", load.samples)->capture_default_str();
  CLI::App* sink = app.add_subcommand("sink", "listens and never reads");
  for (CLI::App* command : {send, sink}) command->add_option("--port", load.port);
  CLI11_PARSE(app, argc, argv);
  if (send->parsed()) run_send(load);
  if (sink->parsed()) run_sink(load);
  return 0;
}
