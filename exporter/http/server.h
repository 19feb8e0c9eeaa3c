// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "exposition/page.h"
#include "http/listen_address.h"
#include "http/web_access.h"

namespace nfbpf::http {

// What a route answers. The head goes out before `body` runs; body is not run for HEAD.
struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::function<void(exposition::Sink&)> body = {};
  // Depends on what the request accepts: is compressed for those who take it, and caches are told.
  bool negotiated = false;
  std::vector<std::pair<std::string, std::string>> headers = {};  // further ones, name and value

  static Response text(int status, std::string text);
};

struct Request {
  std::string accept;           // the Accept header, empty when there is none
  std::string accept_encoding;  // and Accept-Encoding
  std::string query = {};       // what stands after '?', as it was sent
};

// A path that is served, for GET and HEAD or for POST. Called by many threads at once.
struct Route {
  std::string path;
  std::function<Response(const Request&)> answer;
  bool post = false;
  bool limited = true;  // is one of max_requests
};

struct ServerOptions {
  std::vector<ListenAddress> addresses;
  // Each connection holds one thread, so this many bad clients make the rest wait, and no longer
  // than the time-outs below.
  unsigned threads = 256;
  // For a handshake and for a write to make progress; a request has arrived after twice that at
  // most, because the last wait for a piece of it begins before.
  unsigned timeout_ms = 2400;
  // For a whole answer. Prometheus gives up after its scrape_timeout, 10 s unless told.
  unsigned answer_timeout_ms = 60'000;
  // Answered at a time; more wait for a moment and are turned away with 503. 0: as many as come.
  unsigned max_requests = 40;
  bool compress = true;         // what is negotiated, for those who take gzip
  WebAccess* access = nullptr;  // TLS, users and headers; null: none. Outlives the server
};

// Serves routes until it is destroyed. No files, no CGI; what is no route is 404, other methods are
// 405, and without the right user and password all of it is 401.
class Server {
 public:
  static Result<std::unique_ptr<Server>> start(const ServerOptions& options,
                                               std::vector<Route> routes);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  // As bound: port 0 is replaced by what the kernel chose.
  [[nodiscard]] const std::vector<ListenAddress>& addresses() const;

 private:
  class Civetweb;
  explicit Server(std::unique_ptr<Civetweb> civetweb);
  std::unique_ptr<Civetweb> civetweb_;
};

}  // namespace nfbpf::http
