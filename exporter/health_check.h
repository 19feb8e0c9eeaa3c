// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"
#include "http/listen_address.h"

namespace nfbpf {

// Asks the exporter that listens at `address` on this machine for `path`, /-/healthy or /-/ready,
// as a probe does that has neither curl nor a shell. Whoever asks for a password (401) or, by TLS,
// for a certificate is alive, too. Gives up after five seconds of silence.
[[nodiscard]] Result<void> check_health(const http::ListenAddress& address, bool tls,
                                        const std::string& path);

}  // namespace nfbpf
