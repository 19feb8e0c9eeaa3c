// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "http/listen_address.h"

namespace nfbpf::http {

// Whether a socket for both IPv4 and IPv6 can be made here.
[[nodiscard]] bool has_ipv6();

// Binds and lets go again. The error names the address, the reason and the next step.
[[nodiscard]] Result<void> try_to_bind(const ListenAddress& address);

// Of every socket of this process that listens: what a client does not take for `ms` is thrown away
// and its connection reset, and so is what lies in the kernel after we have closed it
// (TCP_USER_TIMEOUT, tcp(7), which accepted sockets inherit). civetweb hands out no descriptors, so
// they are looked for.
void drop_what_is_not_taken(unsigned ms);

}  // namespace nfbpf::http
