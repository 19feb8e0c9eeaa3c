// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "exposition/page.h"

namespace nfbpf::test {

// Keeps what is written, and takes no more than `chunks` chunks.
class StringSink final : public exposition::Sink {
 public:
  explicit StringSink(std::size_t chunks = ~std::size_t{0}) : left_(chunks) {}
  [[nodiscard]] bool write(std::string_view chunk) override {
    if (left_ == 0) return false;
    --left_;
    largest = std::max(largest, chunk.size());
    ++writes;
    text.append(chunk);
    return true;
  }
  std::string text;
  std::size_t largest = 0;
  std::size_t writes = 0;

 private:
  std::size_t left_;
};

// What a writer that wants a Page writes.
template <typename Write>
std::string written(Write write) {
  StringSink sink;
  exposition::Page page(sink);
  write(page);
  page.flush();
  return sink.text;
}

}  // namespace nfbpf::test
