// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace nfbpf::http {

// Content negotiation of RFC 9110, section 12.5, for the choices that we have. An empty header is
// one that was not sent.

// Whether an Accept header asks for OpenMetrics 1.0 by name, and no less than for plain text.
[[nodiscard]] bool wants_openmetrics(std::string_view accept);

// Whether an Accept-Encoding header lets us send gzip.
[[nodiscard]] bool accepts_gzip(std::string_view accept_encoding);

}  // namespace nfbpf::http
