// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "http/request_slots.h"
#include "http/server.h"

struct mg_connection;

namespace nfbpf::http {

struct Delivery {
  bool head_only = false;
  bool gzip = false;
  // Of every answer.
  const std::vector<std::pair<std::string, std::string>>* headers = nullptr;
  RequestSlots::Place* place = nullptr;       // is told of each write
  std::chrono::milliseconds timeout{60'000};  // for the whole answer
};

// Sends head and body; the body in chunks as it is rendered. Returns the status, for civetweb.
int send_response(mg_connection* connection, const Response& response, const Delivery& delivery);

}  // namespace nfbpf::http
