// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "http/server.h"

struct mg_connection;

namespace nfbpf::http {

// Sends head and body; the body in chunks as it is rendered, compressed if `gzip`. Returns the
// status, for civetweb.
int send_response(mg_connection* connection, const Response& response, bool head_only, bool gzip);

}  // namespace nfbpf::http
