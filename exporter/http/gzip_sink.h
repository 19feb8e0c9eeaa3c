// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zlib.h>

#include <string_view>
#include <vector>

#include "exposition/page.h"

namespace nfbpf::http {

// Compresses (RFC 1952) what is written and hands it on in pieces: at any time it holds zlib's
// window and one piece, however long the page. Level 1: of what a page shrinks by, most for least.
class GzipSink final : public exposition::Sink {
 public:
  explicit GzipSink(exposition::Sink& to);
  GzipSink(const GzipSink&) = delete;
  GzipSink& operator=(const GzipSink&) = delete;
  ~GzipSink() override;

  [[nodiscard]] bool write(std::string_view chunk) override;
  // The end of the stream; without it a reader sees that the page broke off.
  [[nodiscard]] bool finish();

 private:
  bool deflate_all(int flush);

  exposition::Sink& to_;
  z_stream stream_{};
  std::vector<char> out_;
};

}  // namespace nfbpf::http
