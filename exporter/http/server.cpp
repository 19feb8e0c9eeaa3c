// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <civetweb.h>
#include <spdlog/spdlog.h>
#include <strings.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <optional>
#include <string_view>

#include "http/negotiation.h"
#include "http/probe.h"
#include "http/request_slots.h"
#include "http/response.h"

namespace nfbpf::http {
namespace {

// In civetweb's words: "+9987" is one socket for IPv4 and IPv6.
std::string civetweb_ports(const std::vector<ListenAddress>& addresses, bool tls) {
  std::string list;
  for (const ListenAddress& address : addresses) {
    if (!list.empty()) list += ",";
    if (address.family == ListenAddress::Family::kAny)
      list += (has_ipv6() ? "+" : "") + std::to_string(address.port);
    else
      list += address.text();
    if (tls) list += "s";
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

// No route has a use for one; a client may send an empty form.
constexpr long long kMostBody = 4096;

// A connection holds a descriptor, while it is served and while it waits for that; so many fit.
struct Pool {
  unsigned threads, queue;
};

constexpr unsigned kMostWaiting = 256;
// Maps, files that are read, sockets to listen on: what must not fail for clients' sake.
constexpr rlim_t kOwnDescriptors = 48;

Pool pool_of(unsigned threads) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return {threads, kMostWaiting};
  const rlim_t wanted = threads + kMostWaiting + kOwnDescriptors;
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = std::min(limit.rlim_max, wanted);
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) (void)::getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= wanted) return {threads, kMostWaiting};
  const rlim_t half = limit.rlim_cur < kOwnDescriptors ? 0 : (limit.rlim_cur - kOwnDescriptors) / 2;
  const Pool pool{static_cast<unsigned>(std::clamp<rlim_t>(half, 2, threads)),
                  static_cast<unsigned>(std::clamp<rlim_t>(half, 2, kMostWaiting))};
  spdlog::warn("RLIMIT_NOFILE is {}: {} connections are served at a time and {} wait; {} is enough",
               limit.rlim_cur, pool.threads, pool.queue, wanted);
  return pool;
}

// Two who read such a request differently disagree where the next one begins (RFC 9112, 6.3).
bool is_ambiguous(const mg_request_info& info) {
  const auto told = std::ranges::count_if(
      info.http_headers, info.http_headers + info.num_headers, [](const mg_header& header) {
        return ::strcasecmp(header.name, "Content-Length") == 0 ||
               ::strcasecmp(header.name, "Transfer-Encoding") == 0;
      });
  return told > 1;
}

}  // namespace

class Server::Civetweb {
 public:
  Civetweb(const ServerOptions& options, std::vector<Route> routes)
      : options_(options),
        routes_(std::move(routes)),
        slots_(options.max_requests, std::chrono::milliseconds(options.timeout_ms)) {}
  Civetweb(const Civetweb&) = delete;
  Civetweb& operator=(const Civetweb&) = delete;
  ~Civetweb() {
    if (context_ != nullptr) mg_stop(context_);
  }

  Result<void> start() {
    const bool tls = options_.access != nullptr && options_.access->now()->identity != nullptr;
    const std::string ports = civetweb_ports(options_.addresses, tls);
    const Pool pool = pool_of(options_.threads);
    const std::string threads = std::to_string(pool.threads);
    const std::string queue = std::to_string(pool.queue);
    const std::string timeout = std::to_string(options_.timeout_ms);
    const char* settings[] = {"listening_ports", ports.c_str(), "num_threads", threads.c_str(),
                              "request_timeout_ms", timeout.c_str(), "linger_timeout_ms", "1000",
                              "enable_keep_alive", "no", "enable_directory_listing", "no",
                              // What waits to be accepted while all threads are held.
                              "listen_backlog", "512", "connection_queue", queue.c_str(),
                              "tcp_nodelay", "1", nullptr};
    mg_callbacks callbacks{};
    callbacks.begin_request = begin_request;
    callbacks.log_message = log_message;
    callbacks.http_error = http_error;
    callbacks.external_ssl_ctx = tls ? external_ssl_ctx : nullptr;
    mg_init_data init{&callbacks, this, settings};
    char text[256] = {};
    mg_error_data error{};
    error.text = text;
    error.text_buffer_size = sizeof(text);
    context_ = mg_start2(&init, &error);
    if (context_ == nullptr) return why_not(options_.addresses, text);
    starting_ = false;
    // By then a write has timed out already: this is for what the kernel holds.
    drop_what_is_not_taken(options_.timeout_ms + options_.timeout_ms / 2);
    learn_ports(options_.addresses);
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

  static Civetweb& of(const mg_connection* connection) {
    return *static_cast<Civetweb*>(mg_get_user_data(mg_get_context(connection)));
  }

  static int answer(mg_connection* connection) {
    Civetweb& self = of(connection);
    const auto access = self.options_.access == nullptr ? nullptr : self.options_.access->now();
    const mg_request_info* info = mg_get_request_info(connection);
    Delivery delivery;
    delivery.head_only = std::string_view(info->request_method) == "HEAD";
    delivery.timeout = std::chrono::milliseconds(self.options_.answer_timeout_ms);
    if (access) delivery.headers = &access->config.headers;
    if (is_ambiguous(*info))
      return send_response(
          connection, Response::text(400, "400 the length of the body is told more than once\n"),
          delivery);
    if (info->content_length > kMostBody)
      return send_response(connection, Response::text(413, "413 no route takes a body\n"),
                           delivery);
    if (access && !access->config.users.empty())
      if (const auto refusal = self.check_user(connection, *access))
        return send_response(connection, *refusal, delivery);
    return self.answer_route(connection, *info, delivery);
  }

  std::optional<Response> check_user(mg_connection* connection, const WebAccess::Now& access) {
    Response refusal;
    switch (
        options_.access->auth().check(access.config.users, header(connection, "Authorization"))) {
      case BasicAuth::Verdict::kYes:
        return std::nullopt;
      case BasicAuth::Verdict::kBusy:
        refusal = Response::text(503, "503 too many logins at a time, try again\n");
        refusal.headers = {{"Retry-After", "1"}};
        return refusal;
      case BasicAuth::Verdict::kNo:
        break;
    }
    refusal = Response::text(401, "401 user and password are needed\n");
    refusal.headers = {{"WWW-Authenticate", "Basic realm=\"nfbpf_exporter\", charset=\"UTF-8\""}};
    return refusal;
  }

  int answer_route(mg_connection* connection, const mg_request_info& info, Delivery delivery) {
    const char* path = info.local_uri == nullptr ? "" : info.local_uri;
    const auto route = std::ranges::find(routes_, std::string_view(path), &Route::path);
    if (route == routes_.end())
      return send_response(connection, Response::text(404, "404 page not found\n"), delivery);
    const std::string_view method = info.request_method;
    if (route->post ? method != "POST" : method != "GET" && method != "HEAD") {
      auto refusal =
          Response::text(405, route->post ? "405 only POST\n" : "405 only GET and HEAD\n");
      refusal.headers = {{"Allow", route->post ? "POST" : "GET, HEAD"}};
      return send_response(connection, refusal, delivery);
    }
    if (!route->limited) return send_answer(connection, info, *route, delivery);
    RequestSlots::Place place(slots_);
    if (!place) {
      auto refusal =
          Response::text(503, "503 --web.max-requests " + std::to_string(options_.max_requests) +
                                  " are being answered, try again\n");
      refusal.headers = {{"Retry-After", "1"}};
      return send_response(connection, refusal, delivery);
    }
    delivery.place = &place;
    return send_answer(connection, info, *route, delivery);
  }

  int send_answer(mg_connection* connection, const mg_request_info& info, const Route& route,
                  Delivery delivery) const {
    const Request request{header(connection, "Accept"), header(connection, "Accept-Encoding"),
                          info.query_string == nullptr ? "" : info.query_string};
    const Response response = route.answer(request);
    delivery.gzip =
        options_.compress && response.negotiated && accepts_gzip(request.accept_encoding);
    return send_response(connection, response, delivery);
  }

  // What civetweb finds wrong by itself, in our words and with our headers.
  static int http_error(mg_connection* connection, int status, const char*) {
    try {
      Delivery delivery;
      const Civetweb& self = of(connection);
      const auto access = self.options_.access == nullptr ? nullptr : self.options_.access->now();
      if (access) delivery.headers = &access->config.headers;
      const std::string text = mg_get_response_code_text(nullptr, status);
      send_response(connection, Response::text(status, std::to_string(status) + " " + text + "\n"),
                    delivery);
    } catch (const std::exception& e) {
      spdlog::error("http: an answer broke off: {}", e.what());
    }
    return 0;
  }

  // Also asked at the end, whether the context is civetweb's to free: it is not.
  static int external_ssl_ctx(void** context, void* user_data) {
    *context = static_cast<Civetweb*>(user_data)->options_.access->front().context();
    return 1;
  }

  static std::string header(const mg_connection* connection, const char* name) {
    const char* value = mg_get_header(connection, name);
    return value == nullptr ? "" : value;
  }

  static int log_message(const mg_connection* connection, const char* message) {
    const auto* self =
        connection == nullptr
            ? nullptr
            : static_cast<const Civetweb*>(mg_get_user_data(mg_get_context(connection)));
    // While it starts, the returned error says it better.
    if (self == nullptr || !self->starting_) spdlog::debug("http: {}", message);
    return 1;  // do not write it to stderr as well
  }

  Library library_;
  ServerOptions options_;
  std::vector<Route> routes_;
  RequestSlots slots_;
  std::vector<ListenAddress> addresses_;
  std::atomic<bool> starting_ = true;
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
  auto civetweb = std::make_unique<Civetweb>(options, std::move(routes));
  if (auto ok = civetweb->start(); !ok) return tl::unexpected(ok.error());
  return std::unique_ptr<Server>(new Server(std::move(civetweb)));
}

}  // namespace nfbpf::http
