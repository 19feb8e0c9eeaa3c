// SPDX-License-Identifier: Apache-2.0
#include "exposition/process_metrics.h"

#include <gtest/gtest.h>
#include <prometheus/metric_family.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "folder.h"

namespace nfbpf::exposition {
namespace {

namespace fs = std::filesystem;

std::map<std::string, double> values(const ProcessMetrics& metrics) {
  std::map<std::string, double> result;
  for (const auto& family : metrics.Collect()) {
    const auto& metric = family.metric.at(0);
    result[family.name] =
        family.type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value;
  }
  return result;
}

TEST(ProcessMetrics, ReadsAProgramWhoseNameIsHostile) {
  const test::Folder procfs;
  fs::create_directories(procfs.path() / "self/fd/0");
  fs::create_directories(procfs.path() / "self/fd/1");
  std::ofstream(procfs.path() / "stat") << "cpu 1 2 3\nbtime 1000\n";
  std::ofstream(procfs.path() / "self/limits")
      << "Limit  Soft Limit\nMax open files            1024     4096   files\n";
  std::ofstream(procfs.path() / "self/stat") << "1 (a ) b) S 1 1 1 0 -1 4194560 1 0 0 0 250 150 0 "
                                                "0 20 0 1 0 700 4096 3 18446744073709551615\n";
  const auto seen = values(ProcessMetrics(procfs.path()));
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  EXPECT_EQ(seen.at("process_cpu_seconds_total"), 400 / ticks);
  EXPECT_EQ(seen.at("process_virtual_memory_bytes"), 4096);
  EXPECT_EQ(seen.at("process_resident_memory_bytes"),
            3.0 * static_cast<double>(::sysconf(_SC_PAGESIZE)));
  EXPECT_EQ(seen.at("process_start_time_seconds"), 1000 + 700 / ticks);
  EXPECT_EQ(seen.at("process_open_fds"), 2);
  EXPECT_EQ(seen.at("process_max_fds"), 1024);
}

TEST(ProcessMetrics, LeavesOutWhatCannotBeRead) {
  EXPECT_TRUE(ProcessMetrics("/nonexistent").Collect().empty());
}

// As below systemd's ProcSubset=pid.
TEST(ProcessMetrics, KnowsWhenItStartedWhereOnlyProcessesAreShown) {
  const test::Folder procfs;
  fs::create_directories(procfs.path() / "self");
  fs::create_symlink("/proc/self/stat", procfs.path() / "self/stat");
  const double wanted = values(ProcessMetrics("/proc")).at("process_start_time_seconds");
  EXPECT_NEAR(values(ProcessMetrics(procfs.path())).at("process_start_time_seconds"), wanted, 2);
}

TEST(ProcessMetrics, ReadsOnWhenTheFolderIsGone) {
  const test::Folder procfs;
  fs::create_directories(procfs.path() / "self/fd/0");
  std::ofstream(procfs.path() / "self/stat") << "1 (a) S 1 1 1 0 -1 4194560 1 0 0 0 250 150 0 "
                                                "0 20 0 1 0 700 4096 3 18446744073709551615\n";
  const ProcessMetrics metrics(procfs.path());
  fs::remove_all(procfs.path() / "self");
  EXPECT_EQ(values(metrics).at("process_virtual_memory_bytes"), 4096);
}

TEST(ProcessMetrics, SeesThisProcess) {
  const auto seen = values(ProcessMetrics("/proc"));
  EXPECT_GT(seen.at("process_resident_memory_bytes"), 1e6);
  EXPECT_GE(seen.at("process_open_fds"), 3);
}

}  // namespace
}  // namespace nfbpf::exposition
