// SPDX-License-Identifier: Apache-2.0
#include "reader/flowtables.h"

#include <fstream>

namespace nfbpf::reader {

std::optional<std::uint64_t> count_flowtables(const std::filesystem::path& sysfs) {
  std::optional<std::uint64_t> count;
  for (const char* module : {"nf_flow_table_inet", "nf_flow_table_ipv4", "nf_flow_table_ipv6"}) {
    std::ifstream file(sysfs / "module" / module / "refcnt");
    std::int64_t references = 0;  // -1 while it is being unloaded
    if (file >> references && references >= 0)
      count = count.value_or(0) + static_cast<std::uint64_t>(references);
  }
  return count;
}

}  // namespace nfbpf::reader
