// SPDX-License-Identifier: Apache-2.0
#include "exposition/process_metrics.h"

#include <prometheus/metric_family.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

namespace nfbpf::exposition {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily family(const char* name, const char* help, MetricType type, double value) {
  ClientMetric metric;
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  return {name, help, type, {metric}};
}

// Fields of /proc/PID/stat from the third on, by their number in proc(5).
class StatLine {
 public:
  static std::optional<StatLine> read(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::string line;
    if (!std::getline(file, line)) return std::nullopt;
    // The second field is the program's name in parentheses and may hold anything, parentheses too.
    const auto name_end = line.rfind(')');
    if (name_end == std::string::npos) return std::nullopt;
    std::istringstream rest(line.substr(name_end + 1));
    StatLine stat;
    for (std::string word; rest >> word;) stat.fields_.push_back(word);
    return stat;
  }
  [[nodiscard]] double at(std::size_t number) const {
    const std::size_t index = number - 3;
    if (index >= fields_.size()) return 0;
    double value = 0;
    const std::string& field = fields_[index];
    std::from_chars(field.data(), field.data() + field.size(), value);
    return value;
  }

 private:
  std::vector<std::string> fields_;
};

constexpr std::size_t kUserTime = 14;
constexpr std::size_t kSystemTime = 15;
constexpr std::size_t kStartTime = 22;
constexpr std::size_t kVirtualBytes = 23;
constexpr std::size_t kResidentPages = 24;

// The number after a word at the start of a line; 0 when there is none.
double number_after(const std::filesystem::path& path, const std::string& word) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(word)) continue;
    std::istringstream rest(line.substr(word.size()));
    double number = 0;
    return rest >> number ? number : 0;
  }
  return 0;
}

double entries_in(const std::filesystem::path& folder) {
  std::error_code code;
  double count = 0;
  for (std::filesystem::directory_iterator at(folder, code), end; !code && at != end;
       at.increment(code))
    ++count;
  return count;
}

}  // namespace

ProcessMetrics::ProcessMetrics(std::filesystem::path procfs)
    : procfs_(std::move(procfs)), booted_at_(number_after(procfs_ / "stat", "btime ")) {}

std::vector<MetricFamily> ProcessMetrics::Collect() const {
  const auto self = procfs_ / "self";
  const auto stat = StatLine::read(self / "stat");
  if (!stat) return {};
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const auto page_size = static_cast<double>(::sysconf(_SC_PAGESIZE));
  return {
      family("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
             MetricType::Counter, (stat->at(kUserTime) + stat->at(kSystemTime)) / ticks),
      family("process_resident_memory_bytes", "Resident memory size in bytes.", MetricType::Gauge,
             stat->at(kResidentPages) * page_size),
      family("process_virtual_memory_bytes", "Virtual memory size in bytes.", MetricType::Gauge,
             stat->at(kVirtualBytes)),
      family("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
             MetricType::Gauge, booted_at_ + stat->at(kStartTime) / ticks),
      family("process_open_fds", "Number of open file descriptors.", MetricType::Gauge,
             entries_in(self / "fd")),
      family("process_max_fds", "Maximum number of open file descriptors.", MetricType::Gauge,
             number_after(self / "limits", "Max open files ")),
  };
}

}  // namespace nfbpf::exposition
