// SPDX-License-Identifier: Apache-2.0
// A file of networks, and look-ups in what it made.
#include "config/networks.h"

#include <cstdlib>
#include <cstring>
#include <span>
#include <sstream>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  nfbpf::traffic::Networks networks;
  std::istringstream lines(std::string(reinterpret_cast<const char*>(data), size));
  const auto ok = nfbpf::config::read_network_lines(lines, "f", networks);
  if (!ok && !ok.error().what.starts_with("f:")) std::abort();
  networks.finish();
  std::byte address[16] = {};
  std::memcpy(address, data, std::min(size, sizeof(address)));
  (void)networks.find_ipv4(std::span(address).first(4));
  (void)networks.find_ipv6(address);
  return 0;
}
