// SPDX-License-Identifier: Apache-2.0
#include "http/gzip_sink.h"

#include <new>

namespace nfbpf::http {
namespace {

constexpr int kLevel = 1;
constexpr int kWindowAndGzip = 15 + 16;  // zlib.h: 16 more writes a gzip header and trailer
constexpr int kMemory = 8;
constexpr std::size_t kPiece = std::size_t{64} * 1024;

}  // namespace

GzipSink::GzipSink(exposition::Sink& to) : to_(to), out_(kPiece) {
  if (deflateInit2(&stream_, kLevel, Z_DEFLATED, kWindowAndGzip, kMemory, Z_DEFAULT_STRATEGY) !=
      Z_OK)
    throw std::bad_alloc();
}

GzipSink::~GzipSink() {
  deflateEnd(&stream_);
}

bool GzipSink::write(std::string_view chunk) {
  // zlib does not write to it; its pointer has no const for history's sake.
  stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(chunk.data()));
  stream_.avail_in = static_cast<uInt>(chunk.size());
  return deflate_all(Z_NO_FLUSH);
}

bool GzipSink::finish() {
  stream_.avail_in = 0;
  return deflate_all(Z_FINISH);
}

bool GzipSink::deflate_all(int flush) {
  for (;;) {
    stream_.next_out = reinterpret_cast<Bytef*>(out_.data());
    stream_.avail_out = static_cast<uInt>(out_.size());
    const int state = deflate(&stream_, flush);
    const std::size_t made = out_.size() - stream_.avail_out;
    if (made > 0 && !to_.write({out_.data(), made})) return false;
    if (flush == Z_FINISH ? state == Z_STREAM_END : stream_.avail_out > 0) return true;
  }
}

}  // namespace nfbpf::http
