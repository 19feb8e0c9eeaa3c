// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace nfbpf::reader {

// How many nft flowtables there are, in all network namespaces: each holds a reference to the
// module of its kind (net/netfilter/nf_flow_table_inet.c and, in older kernels, _ipv4 and _ipv6).
// Asking nfnetlink would want CAP_NET_ADMIN and tell of one namespace. Nothing: no such module is
// loaded, so there is none, unless the kernel has them built in.
[[nodiscard]] std::optional<std::uint64_t> count_flowtables(const std::filesystem::path& sysfs);

}  // namespace nfbpf::reader
