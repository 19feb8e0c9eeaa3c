// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "http/listen_address.h"

namespace nfbpf::http {

// Whether a socket for both IPv4 and IPv6 can be made here.
[[nodiscard]] bool has_ipv6();

// Binds and lets go again. The error names the address, the reason and the next step.
[[nodiscard]] Result<void> try_to_bind(const ListenAddress& address);

}  // namespace nfbpf::http
