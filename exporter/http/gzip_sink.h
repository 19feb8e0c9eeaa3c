// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "exposition/page.h"

namespace nfbpf::http {

// Compresses (RFC 1952) what is written and hands it on in pieces: at any time it holds the
// compressor's window and one piece, however long the page. ISA-L, because it was measured at an
// eighth of the time of zlib's level 1 for a smaller page (docs/performance.md).
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
  struct Stream;
  bool compress(std::string_view chunk, bool last);

  exposition::Sink& to_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace nfbpf::http
