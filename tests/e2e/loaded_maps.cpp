// SPDX-License-Identifier: Apache-2.0
// Plays nfbpf-load and a program for the exporter's tests: real maps, pinned, with a manifest, and
// counters that grow at a known rate until SIGTERM. Needs root.
//
//   loaded_maps PIN_DIR RUN_DIR PACKETS_PER_SECOND [MORE_PAIRS]
//
// The growing series: 192.0.2.1 -> 198.51.100.2, udp, in; each packet 100 bytes.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "../unit/abi_btf.h"
#include "reader/btf_file.h"

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::uint32_t entries = 1024;
volatile std::sig_atomic_t ended = 0;

[[noreturn]] void die(const std::string& what, int error) {
  std::fprintf(stderr, "loaded_maps: %s: %s\n", what.c_str(), strerror(error < 0 ? -error : error));
  std::exit(1);
}

struct Types {
  nfbpf::test::AbiBtf abi;
  int fd = -1;
  std::string sha256;
};

void load_types(Types& types, const fs::path& run_dir) {
  std::uint32_t size = 0;
  const void* raw = btf__raw_data(types.abi.get(), &size);
  types.fd = bpf_btf_load(raw, size, nullptr);
  if (types.fd < 0) die("BPF_BTF_LOAD", types.fd);
  types.sha256 = *nfbpf::reader::sha256_hex({static_cast<const std::byte*>(raw), size});
  fs::create_directories(run_dir / "btf");
  std::ofstream(run_dir / "btf" / (types.sha256 + ".btf"), std::ios::binary)
      .write(static_cast<const char*>(raw), size);
}

int make_map(const Types& types, const char* name, std::uint32_t key_size, int key_type,
             int value_type, const fs::path& pin, json& maps) {
  LIBBPF_OPTS(bpf_map_create_opts, opts, .btf_fd = static_cast<__u32>(types.fd),
              .btf_key_type_id = static_cast<__u32>(key_type),
              .btf_value_type_id = static_cast<__u32>(value_type));
  const int fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_HASH, name, key_size, 16, entries, &opts);
  if (fd < 0) die(std::string("create ") + name, fd);
  if (const int error = bpf_obj_pin(fd, pin.c_str()); error != 0) die("pin " + pin.string(), error);
  fs::permissions(pin, fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read);
  bpf_map_info info{};
  std::uint32_t length = sizeof(info);
  if (const int error = bpf_obj_get_info_by_fd(fd, &info, &length); error != 0)
    die("map info", error);
  maps.push_back({{"name", name},
                  {"pin", pin},
                  {"id", info.id},
                  {"type", "percpu_hash"},
                  {"key_size", key_size},
                  {"value_size", 16},
                  {"max_entries", entries},
                  {"key_type_id", key_type},
                  {"value_type_id", value_type},
                  {"btf", "btf/" + types.sha256 + ".btf"},
                  {"btf_sha256", types.sha256}});
  return fd;
}

// All packets on the last CPU but one on each other, so that a reader that forgets CPUs is found
// out.
void set_count(int fd, const void* key, std::uint64_t packets) {
  std::vector<nfbpf_source_destination> values(
      static_cast<std::size_t>(libbpf_num_possible_cpus()));
  for (auto& value : values) value = {1, 100};
  const std::uint64_t rest = packets - (values.size() - 1);
  values.back() = {rest, rest * 100};
  if (const int error = bpf_map_update_elem(fd, key, values.data(), BPF_ANY); error != 0)
    die("update", error);
}

void write_manifest(const fs::path& run_dir, const fs::path& pin_dir, const json& maps) {
  const json state = {
      {"abi", {{"major", NFBPF_ABI_MAJOR}, {"minor", NFBPF_ABI_MINOR}}},
      {"datapath", "netfilter-link"},
      {"datapath_reason", "a fixture of the tests"},
      {"refused", json::array()},
      {"pin_dir", pin_dir},
      {"program", {{"name", "fixture"}, {"id", 1}, {"tag", "0000"}, {"object", "none"}}},
      {"loaded_at", 1700000000.0},
      {"maps", maps}};
  std::ofstream(run_dir / "state.json.new") << state;
  fs::rename(run_dir / "state.json.new", run_dir / "state.json");
  std::ofstream(run_dir / "last_swap.json") << R"({"successful": true, "error": ""})";
}

void grow(int fd, const void* key, double per_second) {
  using namespace std::chrono;
  const auto start = steady_clock::now();
  while (ended == 0) {
    const duration<double> since = steady_clock::now() - start;
    set_count(fd, key, 1000 + static_cast<std::uint64_t>(since.count() * per_second));
    std::this_thread::sleep_for(milliseconds(20));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5)
    return std::fprintf(stderr,
                        "usage: loaded_maps PIN_DIR RUN_DIR PACKETS_PER_SECOND [MORE_PAIRS]\n"),
           2;
  const auto more = argc == 5 ? static_cast<std::uint32_t>(std::atoi(argv[4])) : 0U;
  entries += more;
  const fs::path pin_dir = argv[1];
  const fs::path run_dir = argv[2];
  std::signal(SIGTERM, [](int) { ended = 1; });
  std::error_code code;
  fs::create_directories(pin_dir / NFBPF_PIN_MAPS, code);
  if (code) die(pin_dir.string() + " (is it on a bpffs?)", code.value());
  fs::create_directories(pin_dir / NFBPF_PIN_LINKS / "fixture");  // in the place of a link

  Types types;
  load_types(types, run_dir);
  json maps = json::array();
  const auto pin = [&](const char* name) { return pin_dir / NFBPF_PIN_MAPS / name; };
  const auto& abi = types.abi;
  const int v4 = make_map(types, "nfbpf_ipv4", sizeof(nfbpf_ipv4_key), abi.ipv4_key,
                          abi.source_destination, pin("nfbpf_ipv4"), maps);
  const int v6 = make_map(types, "nfbpf_ipv6", sizeof(nfbpf_ipv6_key), abi.ipv6_key,
                          abi.source_destination, pin("nfbpf_ipv6"), maps);
  const int overflow = make_map(types, "nfbpf_overflow", sizeof(nfbpf_overflow_key),
                                abi.overflow_key, abi.overflow, pin("nfbpf_overflow"), maps);

  nfbpf_ipv4_key growing{NFBPF_DIRECTION_IN, IPPROTO_UDP, 0, 0, 0};
  ::inet_pton(AF_INET, "192.0.2.1", &growing.source);
  ::inet_pton(AF_INET, "198.51.100.2", &growing.destination);
  for (std::uint32_t i = 0; i < more; ++i) {
    const nfbpf_ipv4_key pair{NFBPF_DIRECTION_OUT, IPPROTO_TCP, 0, htonl(0x0a000000 + i),
                              htonl(0xc6336402)};
    set_count(v4, &pair, 1000 + i);
  }
  nfbpf_ipv6_key still{0, IPPROTO_TCP, NFBPF_DIRECTION_OUT, {}, {}};
  ::inet_pton(AF_INET6, "2001:db8::1", &still.source);
  ::inet_pton(AF_INET6, "2001:db8::2", &still.destination);
  set_count(v6, &still, 4242);
  const nfbpf_overflow_key full{NFBPF_DIRECTION_IN, NFBPF_FAMILY_IPV4, NFBPF_OVERFLOW_REASON_FULL,
                                0};
  set_count(overflow, &full, 77);
  set_count(v4, &growing, 1000);
  write_manifest(run_dir, pin_dir, maps);
  std::puts("ready");
  std::fflush(stdout);
  grow(v4, &growing, std::atof(argv[3]));
  for (const json& map : maps) fs::remove(map.at("pin").get<std::string>(), code);
  fs::remove(run_dir / "state.json", code);
  fs::remove(run_dir / "last_swap.json", code);
  return 0;
}
