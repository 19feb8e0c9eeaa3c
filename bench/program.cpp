// SPDX-License-Identifier: Apache-2.0
// nfbpf-bench-program: nanoseconds that the traffic program adds to a packet, natively, by
// BPF_PROG_TEST_RUN. Each row is measured in rounds that take turns with an empty program and with
// a bare look-up and add (bench/programs/keys_*.bpf.c), all three with the same generator of keys,
// whose cost is subtracted with the empty one's. Needs root.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "abi/nfbpf.h"

namespace {

struct Close {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
using Object = std::unique_ptr<bpf_object, Close>;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "nfbpf-bench-program: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

struct Options {
  std::string objects;
  int rounds = 15;
  std::uint32_t repeat = 300'000;
  int cpu = 0;
  std::vector<std::uint32_t> keys{1U, 1U << 10U, 1U << 16U, 1U << 20U};
};

// As programs/next_key.h has it.
struct Next {
  std::uint64_t state;
  std::uint32_t mask, in_order;
};

bool is_pairs(const std::string& name) {
  return name.starts_with("nfbpf_ipv") || name.starts_with("bare_ipv");
}

Object load(const std::string& file, std::uint32_t rows) {
  Object object(bpf_object__open_file(file.c_str(), nullptr));
  if (!object) die("open " + file);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object.get()) {
    const std::string name = bpf_map__name(map);
    if (is_pairs(name) && !name.ends_with("_b")) bpf_map__set_max_entries(map, rows);
    if (is_pairs(name) && name.ends_with("_b")) bpf_map__set_max_entries(map, 1);
  }
  if (bpf_object__load(object.get()) != 0) die("load " + file);
  return object;
}

void set_next(const Object& object, const Next& next) {
  bpf_map* map = bpf_object__find_map_by_name(object.get(), ".data.next");
  const std::uint32_t zero = 0;
  if (map == nullptr || bpf_map_update_elem(bpf_map__fd(map), &zero, &next, BPF_ANY) != 0) {
    die("set the keys");
  }
}

// A UDP packet with an Ethernet header before it, which a test run takes off.
std::vector<unsigned char> packet(bool ipv6) {
  std::vector<unsigned char> bytes(14 + 40 + 8 + 16);
  bytes[12] = ipv6 ? 0x86 : 0x08;
  bytes[13] = ipv6 ? 0xdd : 0x00;
  unsigned char* ip = bytes.data() + 14;
  if (ipv6) {
    ip[0] = 0x60;
    ip[5] = 24;
    ip[6] = 17;
    ip[8] = ip[24] = 0xfd;
    ip[39] = 2;
  } else {
    ip[0] = 0x45;
    ip[3] = 64;
    ip[8] = 64;
    ip[9] = 17;
    ip[16] = 10;
    ip[19] = 2;
  }
  return bytes;
}

// Nanoseconds a run.
double run(int program, bool ipv6, std::uint32_t repeat) {
  const auto data = packet(ipv6);
  __sk_buff context{};
  context.cb[NFBPF_CB_DIRECTION] = NFBPF_DIRECTION_OUT;
  context.cb[NFBPF_CB_FAMILY] = ipv6 ? NFBPF_FAMILY_IPV6 : NFBPF_FAMILY_IPV4;
  context.cb[NFBPF_CB_OUT_IFINDEX] = 7;
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = data.data();
  options.data_size_in = static_cast<__u32>(data.size());
  options.ctx_in = &context;
  options.ctx_size_in = sizeof(context);
  options.repeat = static_cast<int>(repeat);
  const auto start = std::chrono::steady_clock::now();
  if (bpf_prog_test_run_opts(program, &options) != 0) die("BPF_PROG_TEST_RUN");
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
  return taken.count() / repeat;
}

int program_of(const Object& object, const char* name) {
  const bpf_program* program = name == nullptr
                                   ? bpf_object__next_program(object.get(), nullptr)
                                   : bpf_object__find_program_by_name(object.get(), name);
  if (program == nullptr) die("no program");
  return bpf_program__fd(program);
}

struct Way {
  const Object* object;
  int program;
  std::vector<double> ns{};
};

double least(std::vector<double> of) {
  return *std::ranges::min_element(of);
}
double median(std::vector<double> of) {
  std::ranges::sort(of);
  return of[of.size() / 2];
}
std::vector<double> differences(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> result(a.size());
  std::ranges::transform(a, b, result.begin(), std::minus<>());
  return result;
}

void measure(const Options& options, bool ipv6, std::uint32_t keys) {
  // A quarter of the slots stays free, as in a map that nobody has filled to the brim.
  const std::uint32_t rows = keys + keys / 3 + 16;
  const Object empty = load(options.objects + "/keys_empty.bpf.o", rows);
  const Object bare = load(options.objects + "/keys_bare.bpf.o", rows);
  const Object traffic = load(options.objects + "/keys_traffic.bpf.o", rows);
  std::array<Way, 3> ways{{{&empty, program_of(empty, nullptr)},
                           {&bare, program_of(bare, ipv6 ? "count_bare_ipv6" : "count_bare_ipv4")},
                           {&traffic, program_of(traffic, nullptr)}}};
  for (const Way& way : ways) {
    set_next(*way.object, {0, keys - 1, 1});
    run(way.program, ipv6, 4 * keys + 4);
    set_next(*way.object, {88172645463325252ULL, keys - 1, 0});
    run(way.program, ipv6, options.repeat);
  }
  for (int round = 0; round < options.rounds; ++round) {
    for (Way& way : ways) way.ns.push_back(run(way.program, ipv6, options.repeat));
  }
  const auto by_bare = differences(ways[1].ns, ways[0].ns);
  const auto by_traffic = differences(ways[2].ns, ways[0].ns);
  const double floor = least(ways[0].ns);
  std::printf("| %s | %8u | %6.1f | %6.1f %6.1f | %6.1f %6.1f | %5.2f %5.2f |\n",
              ipv6 ? "IPv6" : "IPv4", keys, floor, least(ways[1].ns) - floor, median(by_bare),
              least(ways[2].ns) - floor, median(by_traffic),
              (least(ways[2].ns) - floor) / (least(ways[1].ns) - floor),
              median(by_traffic) / median(by_bare));
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Nanoseconds that counting adds to a packet."};
  app.add_option("--objects", options.objects, "folder of keys_*.bpf.o")->required();
  app.add_option("--rounds", options.rounds)->capture_default_str();
  app.add_option("--repeat", options.repeat, "packets a round")->capture_default_str();
  app.add_option("--cpu", options.cpu)->capture_default_str();
  app.add_option("--keys", options.keys, "powers of two")->delimiter(',')->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(options.cpu, &set);
  if (::sched_setaffinity(0, sizeof(set), &set) != 0) die("pin to the CPU");
  std::printf(
      "| | keys | empty, ns | bare look-up + add: min, median | traffic: min, median | traffic / "
      "bare: min, median "
      "|\n| --- | ---: | ---: | ---: | ---: | ---: |\n");
  for (const bool ipv6 : {false, true}) {
    for (const std::uint32_t keys : options.keys) {
      measure(options, ipv6, keys);
    }
  }
  return 0;
}
