// SPDX-License-Identifier: Apache-2.0
#include "http/response.h"

#include <civetweb.h>

#include <algorithm>
#include <string>

#include "http/gzip_sink.h"

namespace nfbpf::http {
namespace {

// HTTP/1.1 gets chunks, so that a page that breaks off is seen to; HTTP/1.0 has no chunks and reads
// until the connection closes.
class ConnectionSink final : public exposition::Sink {
 public:
  ConnectionSink(mg_connection* connection, bool chunked, const Delivery& delivery)
      : connection_(connection),
        chunked_(chunked),
        place_(delivery.place),
        until_(std::chrono::steady_clock::now() + delivery.timeout) {}

  [[nodiscard]] bool write(std::string_view text) override {
    if (text.empty() || failed_) return !failed_;
    // One who takes a little now and then would hold its thread for ever.
    if (std::chrono::steady_clock::now() > until_) failed_ = true;
    if (failed_) return false;
    if (place_ != nullptr) place_->begin_write();
    const int sent =
        chunked_ ? mg_send_chunk(connection_, text.data(), static_cast<unsigned>(text.size()))
                 : mg_write(connection_, text.data(), text.size());
    if (place_ != nullptr) place_->end_write();
    failed_ = sent < static_cast<int>(text.size());
    return !failed_;
  }

  // The last chunk; only after a whole body.
  void finish() {
    if (chunked_ && !failed_) mg_send_chunk(connection_, "", 0);
  }

 private:
  mg_connection* connection_;
  bool chunked_;
  RequestSlots::Place* place_;
  std::chrono::steady_clock::time_point until_;
  bool failed_ = false;
};

// What the configuration says of a header goes before what a route or we say.
class Head {
 public:
  Head(const Response& response, const Delivery& delivery)
      : text_("HTTP/1.1 " + std::to_string(response.status) + " " +
              mg_get_response_code_text(nullptr, response.status)) {
    if (delivery.headers != nullptr) add_all(*delivery.headers);
    add("Content-Type", response.content_type);
    add_all(response.headers);
    if (response.negotiated) add("Vary", "Accept, Accept-Encoding");
    add("X-Content-Type-Options", "nosniff");
    add("Cache-Control", "no-store");
    add("Connection", "close");
  }

  void add(const std::string& name, const std::string& value) {
    if (std::ranges::find(names_, name) != names_.end()) return;
    names_.push_back(name);
    text_ += "\r\n" + name + ": " + value;
  }
  [[nodiscard]] std::string text() const { return text_ + "\r\n\r\n"; }

 private:
  void add_all(const std::vector<std::pair<std::string, std::string>>& headers) {
    for (const auto& [name, value] : headers) add(name, value);
  }

  std::string text_;
  std::vector<std::string> names_;
};

}  // namespace

int send_response(mg_connection* connection, const Response& response, const Delivery& delivery) {
  const mg_request_info* info = mg_get_request_info(connection);
  const bool chunked =
      info->http_version != nullptr && std::string_view(info->http_version) == "1.1";
  Head head(response, delivery);
  if (delivery.gzip) head.add("Content-Encoding", "gzip");
  if (chunked) head.add("Transfer-Encoding", "chunked");
  mg_disable_connection_keep_alive(connection);
  const std::string text = head.text();
  if (mg_write(connection, text.data(), text.size()) != static_cast<int>(text.size()))
    return response.status;
  if (delivery.head_only || !response.body) return response.status;
  ConnectionSink sink(connection, chunked, delivery);
  if (delivery.gzip) {
    GzipSink compressed(sink);
    response.body(compressed);
    if (!compressed.finish()) return response.status;
  } else {
    response.body(sink);
  }
  sink.finish();
  return response.status;
}

}  // namespace nfbpf::http
