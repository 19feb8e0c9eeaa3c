// SPDX-License-Identifier: Apache-2.0
#include "exposition/process_metrics.h"

#include <fcntl.h>
#include <prometheus/metric_family.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>

#include "base/boot_time.h"

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

UniqueFd open_to_read(const std::filesystem::path& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

// From its start, whoever read it before; empty when it cannot be read.
std::string text_of(const UniqueFd& file) {
  std::array<char, 8192> text{};  // a few times what the kernel writes
  std::size_t length = 0;
  while (length < text.size()) {
    const auto got =
        ::pread(file.get(), text.data() + length, text.size() - length, static_cast<off_t>(length));
    if (got <= 0) break;
    length += static_cast<std::size_t>(got);
  }
  return {text.data(), length};
}

// Fields of /proc/PID/stat from the third on, by their number in proc(5).
class StatLine {
 public:
  static std::optional<StatLine> read(const std::string& line) {
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

// The number after a word at the start of a line; nothing when there is none.
std::optional<double> number_after(const std::string& text, const std::string& word) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(word)) continue;
    std::istringstream rest(line.substr(word.size()));
    double number = 0;
    return rest >> number ? std::optional(number) : std::nullopt;
  }
  return std::nullopt;
}

// /proc/stat has a line for each CPU before the one that is wanted, and is not there where only
// processes are shown (systemd's ProcSubset=pid): then by the clocks as they stand.
double boot_time(const std::filesystem::path& stat) {
  std::ifstream file(stat);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (const auto at = number_after(text, "btime ")) return *at;
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  return now.count() - since_boot();
}

}  // namespace

ProcessMetrics::ProcessMetrics(const std::filesystem::path& procfs)
    : stat_(open_to_read(procfs / "self/stat")),
      limits_(open_to_read(procfs / "self/limits")),
      descriptors_(::opendir((procfs / "self/fd").c_str()), ::closedir),
      booted_at_(boot_time(procfs / "stat")) {}

// With the three of this object.
double ProcessMetrics::open_descriptors() const {
  const std::lock_guard lock(reading_descriptors_);
  if (!descriptors_) return 0;
  double count = 0;
  ::rewinddir(descriptors_.get());
  while (const dirent* entry = ::readdir(descriptors_.get()))
    if (entry->d_name[0] != '.') ++count;
  return count;
}

std::vector<MetricFamily> ProcessMetrics::Collect() const {
  const auto stat = StatLine::read(text_of(stat_));
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
             open_descriptors()),
      family("process_max_fds", "Maximum number of open file descriptors.", MetricType::Gauge,
             number_after(text_of(limits_), "Max open files ").value_or(0)),
  };
}

}  // namespace nfbpf::exposition
