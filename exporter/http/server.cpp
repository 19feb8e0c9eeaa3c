// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <civetweb.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string_view>

#include "http/negotiation.h"
#include "http/probe.h"
#include "http/response.h"

namespace nfbpf::http {
namespace {

// In civetweb's words: "+9987" is one socket for IPv4 and IPv6.
std::string civetweb_ports(const std::vector<ListenAddress>& addresses) {
  std::string list;
  for (const ListenAddress& address : addresses) {
    if (!list.empty()) list += ",";
    if (address.family == ListenAddress::Family::kAny)
      list += (has_ipv6() ? "+" : "") + std::to_string(address.port);
    else
      list += address.text();
  }
  return list;
}

// Once per process: civetweb counts its users and sets up OpenSSL.
struct Library {
  Library() { mg_init_library(MG_FEATURES_SSL | MG_FEATURES_IPV6); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() { mg_exit_library(); }
};

}  // namespace

class Server::Civetweb {
 public:
  explicit Civetweb(std::vector<Route> routes) : routes_(std::move(routes)) {}
  Civetweb(const Civetweb&) = delete;
  Civetweb& operator=(const Civetweb&) = delete;
  ~Civetweb() {
    if (context_ != nullptr) mg_stop(context_);
  }

  Result<void> start(const ServerOptions& options) {
    compress_ = options.compress;
    const std::string ports = civetweb_ports(options.addresses);
    const std::string threads = std::to_string(options.threads);
    const std::string timeout = std::to_string(options.timeout_ms);
    const char* settings[] = {"listening_ports",
                              ports.c_str(),
                              "num_threads",
                              threads.c_str(),
                              "request_timeout_ms",
                              timeout.c_str(),
                              "linger_timeout_ms",
                              "1000",
                              "enable_keep_alive",
                              "no",
                              "enable_directory_listing",
                              "no",
                              "tcp_nodelay",
                              "1",
                              nullptr};
    mg_callbacks callbacks{};
    callbacks.begin_request = begin_request;
    callbacks.log_message = log_message;
    mg_init_data init{&callbacks, this, settings};
    char text[256] = {};
    mg_error_data error{};
    error.text = text;
    error.text_buffer_size = sizeof(text);
    context_ = mg_start2(&init, &error);
    if (context_ == nullptr) return why_not(options.addresses, text);
    starting_ = false;
    learn_ports(options.addresses);
    return {};
  }

  [[nodiscard]] const std::vector<ListenAddress>& addresses() const { return addresses_; }

 private:
  // civetweb says that some port failed; which one and why is found by trying each.
  static Result<void> why_not(const std::vector<ListenAddress>& addresses, const char* text) {
    for (const ListenAddress& address : addresses)
      if (auto ok = try_to_bind(address); !ok) return ok;
    return fail(std::string("cannot start the HTTP server: ") + text);
  }

  void learn_ports(const std::vector<ListenAddress>& asked) {
    addresses_ = asked;
    std::vector<mg_server_port> bound(asked.size());
    const int count = mg_get_server_ports(context_, static_cast<int>(bound.size()), bound.data());
    for (int i = 0; i < count && i < static_cast<int>(asked.size()); ++i)
      addresses_[static_cast<std::size_t>(i)].port =
          static_cast<std::uint16_t>(bound[static_cast<std::size_t>(i)].port);
  }

  // civetweb's callbacks: C calls these, nothing may be thrown through it. An answer that breaks
  // off (out of memory) ends without its last chunk, so that the client sees that it is not whole.
  static int begin_request(mg_connection* connection) {
    try {
      return answer(connection);
    } catch (const std::exception& e) {
      spdlog::error("http: an answer broke off: {}", e.what());
      mg_disable_connection_keep_alive(connection);
      return 500;
    }
  }

  static int answer(mg_connection* connection) {
    const auto* self = static_cast<const Civetweb*>(mg_get_user_data(mg_get_context(connection)));
    const mg_request_info* info = mg_get_request_info(connection);
    const std::string_view method = info->request_method;
    const char* path = info->local_uri == nullptr ? "" : info->local_uri;
    const auto route = std::ranges::find(self->routes_, std::string_view(path), &Route::path);
    const bool head = method == "HEAD";
    if (route == self->routes_.end())
      return send_response(connection, Response::text(404, "404 page not found\n"), head, false);
    if (!head && method != "GET")
      return send_response(connection, Response::text(405, "405 only GET and HEAD\n"), false,
                           false);
    const Request request{header(connection, "Accept"), header(connection, "Accept-Encoding"),
                          info->query_string == nullptr ? "" : info->query_string};
    const Response response = route->answer(request);
    const bool gzip =
        self->compress_ && response.negotiated && accepts_gzip(request.accept_encoding);
    return send_response(connection, response, head, gzip);
  }

  static std::string header(const mg_connection* connection, const char* name) {
    const char* value = mg_get_header(connection, name);
    return value == nullptr ? "" : value;
  }

  static int log_message(const mg_connection* connection, const char* message) {
    const auto* self = static_cast<const Civetweb*>(mg_get_user_data(mg_get_context(connection)));
    // While it starts, the returned error says it better.
    if (self == nullptr || !self->starting_) spdlog::debug("http: {}", message);
    return 1;  // do not write it to stderr as well
  }

  Library library_;
  std::vector<Route> routes_;
  std::vector<ListenAddress> addresses_;
  std::atomic<bool> starting_ = true;
  bool compress_ = true;
  mg_context* context_ = nullptr;
};

Response Response::text(int status, std::string text) {
  return {
      status,
      "text/plain; charset=utf-8",
      [text = std::move(text)](exposition::Sink& sink) { (void)sink.write(text); },
  };
}

Server::Server(std::unique_ptr<Civetweb> civetweb) : civetweb_(std::move(civetweb)) {}
Server::~Server() = default;

const std::vector<ListenAddress>& Server::addresses() const {
  return civetweb_->addresses();
}

Result<std::unique_ptr<Server>> Server::start(const ServerOptions& options,
                                              std::vector<Route> routes) {
  auto civetweb = std::make_unique<Civetweb>(std::move(routes));
  if (auto ok = civetweb->start(options); !ok) return tl::unexpected(ok.error());
  return std::unique_ptr<Server>(new Server(std::move(civetweb)));
}

}  // namespace nfbpf::http
