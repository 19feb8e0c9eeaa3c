// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace nfbpf::exposition {

// Where a page goes, chunk by chunk. false: the reader is gone and the rest is not worth rendering.
class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  virtual ~Sink() = default;
  [[nodiscard]] virtual bool write(std::string_view chunk) = 0;
};

// Text that is copied often: followed by so many bytes of no meaning that it can be copied in
// blocks of one size, which the compiler turns into a few moves instead of a call.
class BlockText {
 public:
  static constexpr std::size_t kBlock = 32;

  BlockText() = default;
  explicit BlockText(std::string_view text) : bytes_(text), size_(text.size()) {
    bytes_.resize((size_ + kBlock - 1) / kBlock * kBlock);
  }
  [[nodiscard]] const char* data() const { return bytes_.data(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  std::string bytes_;
  std::size_t size_ = 0;
};

// Collects text into chunks of one size, so that a page of any length needs this much memory and no
// more.
class Page {
 public:
  static constexpr std::size_t kChunk = std::size_t{64} * 1024;

  explicit Page(Sink& sink) : sink_(sink) {}
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;
  ~Page() = default;

  void text(std::string_view s) {
    while (s.size() > kChunk - used_) {
      const std::size_t fits = kChunk - used_;
      std::memcpy(buffer_.data() + used_, s.data(), fits);
      used_ = kChunk;
      flush();
      s.remove_prefix(fits);
    }
    std::memcpy(buffer_.data() + used_, s.data(), s.size());
    used_ += s.size();
  }

  void text(const BlockText& s) {
    constexpr std::size_t kMostBlocks = 8;
    if (s.size() > kMostBlocks * BlockText::kBlock) return text(s.view());
    char* at = room(s.size() + BlockText::kBlock);
    const char* from = s.data();
    for (std::size_t done = 0; done < s.size(); done += BlockText::kBlock)
      std::memcpy(at + done, from + done, BlockText::kBlock);
    used_ += s.size();
  }

  void put(char c) { *room(1) = c, used_ += 1; }

  template <typename Number>
  void number(Number n) {
    constexpr std::size_t kMost = 32;  // of a 64-bit integer or the shortest double
    char* at = room(kMost);
    used_ += static_cast<std::size_t>(std::to_chars(at, at + kMost, n).ptr - at);
  }

  // At least `bytes` (much less than a chunk) to write to; taken(n) says how many were.
  char* room(std::size_t bytes) {
    if (bytes > kChunk - used_) flush();
    return buffer_.data() + used_;
  }
  void taken(std::size_t bytes) { used_ += bytes; }

  // Sends what is left.
  void flush() {
    if (open_ && used_ > 0) open_ = sink_.write({buffer_.data(), used_});
    used_ = 0;
  }

  // false once the sink took no more.
  [[nodiscard]] bool open() const { return open_; }

 private:
  Sink& sink_;
  std::array<char, kChunk> buffer_;
  std::size_t used_ = 0;
  bool open_ = true;
};

}  // namespace nfbpf::exposition
