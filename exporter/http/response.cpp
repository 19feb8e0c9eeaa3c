// SPDX-License-Identifier: Apache-2.0
#include "http/response.h"

#include <civetweb.h>

#include <string>

#include "http/gzip_sink.h"

namespace nfbpf::http {
namespace {

// HTTP/1.1 gets chunks, so that a page that breaks off is seen to; HTTP/1.0 has no chunks and reads
// until the connection closes.
class ConnectionSink final : public exposition::Sink {
 public:
  ConnectionSink(mg_connection* connection, bool chunked)
      : connection_(connection), chunked_(chunked) {}

  [[nodiscard]] bool write(std::string_view text) override {
    if (text.empty() || failed_) return !failed_;
    const int sent =
        chunked_ ? mg_send_chunk(connection_, text.data(), static_cast<unsigned>(text.size()))
                 : mg_write(connection_, text.data(), text.size());
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
  bool failed_ = false;
};

std::string head_of(const Response& response, bool chunked, bool gzip) {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " ";
  head += mg_get_response_code_text(nullptr, response.status);
  head += "\r\nContent-Type: " + response.content_type;
  if (response.status == 405) head += "\r\nAllow: GET, HEAD";
  for (const auto& [name, value] : response.headers) head += "\r\n" + name + ": " + value;
  if (response.negotiated) head += "\r\nVary: Accept, Accept-Encoding";
  if (gzip) head += "\r\nContent-Encoding: gzip";
  if (chunked) head += "\r\nTransfer-Encoding: chunked";
  head +=
      "\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n";
  return head;
}

}  // namespace

int send_response(mg_connection* connection, const Response& response, bool head_only, bool gzip) {
  const mg_request_info* info = mg_get_request_info(connection);
  const bool chunked =
      info->http_version != nullptr && std::string_view(info->http_version) == "1.1";
  const std::string head = head_of(response, chunked, gzip);
  mg_disable_connection_keep_alive(connection);
  if (mg_write(connection, head.data(), head.size()) != static_cast<int>(head.size()))
    return response.status;
  if (head_only || !response.body) return response.status;
  ConnectionSink sink(connection, chunked);
  if (gzip) {
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
