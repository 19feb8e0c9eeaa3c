// SPDX-License-Identifier: Apache-2.0
#include "logging.h"

#include <gtest/gtest.h>
#include <spdlog/details/log_msg.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

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

// What another thread has of the logger must not go away: ThreadSanitizer sees what a plain run may
// not.
TEST(Logging, ChangesWhileOthersLog) {
  set_up_logging(config::LogLevel::kInfo, config::LogFormat::kLogfmt);
  const auto* const logger = spdlog::default_logger_raw();
  testing::internal::CaptureStderr();
  {
    const std::jthread other([](const std::stop_token& stop) {
      while (!stop.stop_requested()) spdlog::info("of another thread");
    });
    for (int i = 0; i < 200; ++i)
      set_up_logging(config::LogLevel::kInfo,
                     i % 2 == 0 ? config::LogFormat::kJson : config::LogFormat::kLogfmt);
  }
  std::istringstream lines(testing::internal::GetCapturedStderr());
  for (std::string one; std::getline(lines, one);)
    EXPECT_TRUE(one.starts_with("ts=") || nlohmann::json::accept(one)) << one;
  EXPECT_EQ(spdlog::default_logger_raw(), logger);
}

TEST(Logging, TakesLevelAndFormatOfTheLastCall) {
  set_up_logging(config::LogLevel::kInfo, config::LogFormat::kLogfmt);
  set_up_logging(config::LogLevel::kWarn, config::LogFormat::kJson);
  testing::internal::CaptureStderr();
  spdlog::info("not said");
  spdlog::warn("said");
  const auto line = nlohmann::json::parse(testing::internal::GetCapturedStderr());
  EXPECT_EQ(line.at("msg"), "said");
}

}  // namespace
}  // namespace nfbpf
