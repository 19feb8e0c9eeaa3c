// SPDX-License-Identifier: Apache-2.0
#include "logging.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

namespace nfbpf {
namespace {

// "2026-11-24T14:27:44.123Z"
std::string timestamp(spdlog::log_clock::time_point when) {
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch()).count();
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 64> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  return std::string(text.data(), length) + fmt::format(".{:03}Z", ms % 1000);
}

std::string_view word(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return "debug";
    case spdlog::level::info:
      return "info";
    case spdlog::level::warn:
      return "warn";
    default:
      return "error";
  }
}

// A JSON string is a logfmt value too; bytes that are no UTF-8 are replaced, so a line is always
// well formed.
std::string quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

using ChosenFormat = std::atomic<config::LogFormat>;

class LineFormatter final : public spdlog::formatter {
 public:
  explicit LineFormatter(std::shared_ptr<const ChosenFormat> format) : format_(std::move(format)) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const std::string_view payload(message.payload.data(), message.payload.size());
    const std::string ts = timestamp(message.time);
    const std::string line =
        *format_ == config::LogFormat::kJson
            ? fmt::format("{{\"ts\":\"{}\",\"level\":\"{}\",\"msg\":{}}}\n", ts,
                          word(message.level), quoted(payload))
            : fmt::format("ts={} level={} msg={}\n", ts, word(message.level), quoted(payload));
    out.append(line.data(), line.data() + line.size());
  }

  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(format_);
  }

 private:
  std::shared_ptr<const ChosenFormat> format_;
};

spdlog::level::level_enum spdlog_level(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::kDebug:
      return spdlog::level::debug;
    case config::LogLevel::kInfo:
      return spdlog::level::info;
    case config::LogLevel::kWarn:
      return spdlog::level::warn;
    case config::LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::shared_ptr<spdlog::logger> install_logger(std::shared_ptr<const ChosenFormat> format) {
  auto logger =
      std::make_shared<spdlog::logger>("nfbpf", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_formatter(std::make_unique<LineFormatter>(std::move(format)));
  // A line that cannot be written (a full disk) is lost; the exporter goes on.
  logger->set_error_handler([](const std::string&) {});
  spdlog::set_default_logger(logger);
  return logger;
}

}  // namespace

std::unique_ptr<spdlog::formatter> make_formatter(config::LogFormat format) {
  return std::make_unique<LineFormatter>(std::make_shared<ChosenFormat>(format));
}

// Whoever logs has the default logger without a count of its own: it is installed once, and stays.
void set_up_logging(config::LogLevel level, config::LogFormat format) {
  static const auto chosen = std::make_shared<ChosenFormat>(format);
  static const auto logger = install_logger(chosen);
  *chosen = format;
  logger->set_level(spdlog_level(level));
}

}  // namespace nfbpf
