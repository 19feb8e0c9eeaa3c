// SPDX-License-Identifier: Apache-2.0
#include "bpf/traffic/loaded_program.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "abi/nfbpf.h"

namespace nfbpf::traffic_test {
namespace {

constexpr std::size_t kEthernet = 14;

void check(bool ok, const std::string& what) {
  if (!ok) throw std::runtime_error(what + ": " + std::strerror(errno));
}

Rows rows_of(int fd, std::size_t key_size) {
  const auto cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());
  std::vector<Count> values(cpus);
  Rows rows;
  Key key(key_size);
  Key next(key_size);
  const void* from = nullptr;
  while (bpf_map_get_next_key(fd, from, next.data()) == 0) {
    check(bpf_map_lookup_elem(fd, next.data(), values.data()) == 0, "read a row");
    Count sum;
    for (const Count& value : values) {
      sum.packets += value.packets;
      sum.bytes += value.bytes;
    }
    rows[next] = sum;
    key = next;
    from = key.data();
  }
  return rows;
}

}  // namespace

LoadedProgram::LoadedProgram(const std::string& object, const loader::Choices& choices,
                             std::uint32_t pairs)
    : object_(bpf_object__open_file(object.c_str(), nullptr)) {
  check(object_ != nullptr, "open " + object);
  if (auto ok = loader::set_choices(object_.get(), choices, true); !ok)
    throw std::runtime_error(ok.error().what);
  for (const char* name : {"nfbpf_ipv4", "nfbpf_ipv6"})
    bpf_map__set_max_entries(bpf_object__find_map_by_name(object_.get(), name), pairs);
  check(bpf_object__load(object_.get()) == 0, "load " + object);
  program_ = bpf_program__fd(bpf_object__next_program(object_.get(), nullptr));
}

int LoadedProgram::map(const char* name) const {
  return bpf_object__find_map_fd_by_name(object_.get(), name);
}

void LoadedProgram::set_rules(const loader::Rules& rules) {
  const auto maps = [&](const char* name) -> Result<int> { return map(name); };
  if (auto ok = loader::apply_rules(maps, rules); !ok) throw std::runtime_error(ok.error().what);
}

// A socket filter gets what is behind the Ethernet header, whose type becomes skb->protocol.
std::uint32_t test_run(int program, const Met& met, std::uint32_t repeat,
                       std::uint32_t* nanoseconds) {
  packet::Bytes frame(kEthernet);
  frame[12] = static_cast<std::uint8_t>(met.ethertype >> 8U);
  frame[13] = static_cast<std::uint8_t>(met.ethertype);
  frame.insert(frame.end(), met.bytes.begin(), met.bytes.end());
  __sk_buff context{};
  std::memcpy(context.cb, met.context.data(), sizeof(context.cb));
  context.gso_size = met.gso_size;
  context.gso_segs = met.gso_segments;
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.ctx_in = &context;
  options.ctx_size_in = sizeof(context);
  options.repeat = static_cast<int>(repeat);
  check(bpf_prog_test_run_opts(program, &options) == 0,
        "run with a packet of " + std::to_string(met.bytes.size()) + " bytes");
  if (nanoseconds != nullptr) *nanoseconds = options.duration;
  return options.retval;
}

Maps LoadedProgram::maps() const {
  const auto rows = [&](const char* name) {
    const bpf_map* one = bpf_object__find_map_by_name(object_.get(), name);
    return rows_of(bpf_map__fd(one), bpf_map__key_size(one));
  };
  return {rows("nfbpf_ipv4"), rows("nfbpf_ipv6"), rows("nfbpf_filtered"), rows("nfbpf_overflow")};
}

}  // namespace nfbpf::traffic_test
