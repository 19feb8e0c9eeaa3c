// SPDX-License-Identifier: Apache-2.0
#include "logging.h"

#include <gtest/gtest.h>
#include <spdlog/details/log_msg.h>

#include <nlohmann/json.hpp>

namespace nfbpf {
namespace {

std::string line(config::LogFormat format, const std::string& text) {
  const spdlog::log_clock::time_point when(std::chrono::milliseconds(1700000000123));
  const spdlog::details::log_msg message(when, {}, "nfbpf", spdlog::level::warn, text);
  spdlog::memory_buf_t out;
  make_formatter(format)->format(message, out);
  return {out.data(), out.size()};
}

TEST(Logging, WritesLogfmt) {
  EXPECT_EQ(line(config::LogFormat::kLogfmt, "a \"b\"\nc"),
            "ts=2023-11-14T22:13:20.123Z level=warn msg=\"a \\\"b\\\"\\nc\"\n");
}

TEST(Logging, WritesJsonWhateverTheBytes) {
  const auto parsed = nlohmann::json::parse(line(config::LogFormat::kJson, "a\"\n\xff"));
  EXPECT_EQ(parsed.at("level"), "warn");
  EXPECT_EQ(parsed.at("ts"), "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(parsed.at("msg"), "a\"\n\xef\xbf\xbd");
}

}  // namespace
}  // namespace nfbpf
