// SPDX-License-Identifier: Apache-2.0
#include "http/gzip_sink.h"

#include <isa-l/igzip_lib.h>

#include <array>
#include <cstdint>

namespace nfbpf::http {

struct GzipSink::Stream {
  static constexpr std::size_t kPiece = std::size_t{64} * 1024;
  isal_zstream state{};
  std::array<std::uint8_t, ISAL_DEF_LVL1_DEFAULT> level{};
  std::array<std::uint8_t, kPiece> out{};
};

GzipSink::GzipSink(exposition::Sink& to) : to_(to), stream_(std::make_unique<Stream>()) {
  isal_zstream& state = stream_->state;
  isal_deflate_init(&state);
  state.level = 1;
  state.level_buf = stream_->level.data();
  state.level_buf_size = static_cast<std::uint32_t>(stream_->level.size());
  state.gzip_flag = IGZIP_GZIP;
  state.flush = NO_FLUSH;
}

GzipSink::~GzipSink() = default;

bool GzipSink::write(std::string_view chunk) {
  return compress(chunk, false);
}

bool GzipSink::finish() {
  return compress({}, true);
}

bool GzipSink::compress(std::string_view chunk, bool last) {
  isal_zstream& state = stream_->state;
  // It is not written to; the pointer has no const in C.
  state.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(chunk.data()));
  state.avail_in = static_cast<std::uint32_t>(chunk.size());
  state.end_of_stream = last ? 1 : 0;
  do {
    state.next_out = stream_->out.data();
    state.avail_out = static_cast<std::uint32_t>(stream_->out.size());
    if (isal_deflate(&state) != COMP_OK) return false;
    const std::size_t made = stream_->out.size() - state.avail_out;
    if (made > 0 && !to_.write({reinterpret_cast<const char*>(stream_->out.data()), made}))
      return false;
  } while (state.avail_out == 0);
  return true;
}

}  // namespace nfbpf::http
