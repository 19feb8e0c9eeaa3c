// SPDX-License-Identifier: Apache-2.0
#include "reader/hook_totals.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <thread>

#include "folder.h"
#include "reader/flowtables.h"

namespace nfbpf::reader {
namespace {

namespace fs = std::filesystem;

void add_hook(const fs::path& sysfs, const char* name, const char* packets) {
  const auto folder = sysfs / "module/nfbpf/hooks" / name;
  fs::create_directories(folder);
  std::ofstream(folder / "packets") << packets;
  std::ofstream(folder / "bytes") << "18446744073709551615\n";
  std::ofstream(folder / "matched") << "3\n";
  std::ofstream(folder / "run_ns") << "1500000007\n";
  std::ofstream(folder / "run_samples") << "12\n";
}

TEST(HookTotals, ReadsTheHooksThatAreThere) {
  const test::Folder sysfs;
  add_hook(sysfs.path(), "ipv4_local_in", "10\n");
  add_hook(sysfs.path(), "ipv6_postrouting", "20\n");
  const auto table = read_hook_totals(sysfs.path());
  ASSERT_TRUE(table) << table.error().what;
  ASSERT_EQ(table->rows(), 2U);
  EXPECT_EQ(table->capacity(), 0U) << "it is no map";
  EXPECT_EQ(table->layout().family, "nfbpf_hook");
  EXPECT_EQ(table->values(0)[0], 10U);
  EXPECT_EQ(table->values(0)[1], ~0ULL) << "beyond what a double holds";
  EXPECT_EQ(table->values(0)[2], 3U);
  EXPECT_EQ(table->values(0)[3], 1500000007U);
  EXPECT_EQ(table->layout().counters[3].unit, traffic::Unit::kNanoseconds);
  EXPECT_EQ(table->values(0)[4], 12U);
  EXPECT_EQ(std::to_integer<int>(table->key(1)[0]), 1);
  EXPECT_EQ(std::to_integer<int>(table->key(1)[1]), 4);
}

// A module that is exchanged in the middle of a read, which waits in a FIFO for that.
TEST(HookTotals, AreOfTheModuleWhoseTimeTheyComeWith) {
  const test::Folder sysfs;
  add_hook(sysfs.path(), "ipv4_local_in", "100\n");
  const auto since = sysfs.path() / "module/nfbpf/hooks/since";
  std::ofstream(since) << "1.5\n";
  auto totals = read_module_totals(sysfs.path());
  ASSERT_TRUE(totals) << totals.error().what;
  EXPECT_EQ(totals->since, 1.5);
  const auto packets = sysfs.path() / "module/nfbpf/hooks/ipv4_local_in/packets";
  const auto next = sysfs.path() / "next";
  fs::remove(packets);
  ASSERT_EQ(::mkfifo(packets.c_str(), 0600), 0);
  std::thread exchange([&] {
    std::ofstream reading(packets);  // returns when it is being read
    std::ofstream(next) << "7\n";
    fs::rename(next, packets);
    std::ofstream(next) << "2\n";
    fs::rename(next, since);
    reading << "150\n";
  });
  totals = read_module_totals(sysfs.path());
  exchange.join();
  ASSERT_TRUE(totals) << totals.error().what;
  EXPECT_EQ(totals->since, 2.0);
  EXPECT_EQ(totals->table.values(0)[0], 7U);
}

TEST(HookTotals, SaysThatThereIsNoModule) {
  const auto table = read_hook_totals("/nonexistent");
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, ENOENT);
}

TEST(HookTotals, RefusesWhatIsNoNumber) {
  const test::Folder sysfs;
  add_hook(sysfs.path(), "ipv4_local_in", "-1\n");
  const auto table = read_hook_totals(sysfs.path());
  ASSERT_FALSE(table);
  EXPECT_NE(table.error().what.find("packets: \"-1\" is not a number"), std::string::npos);
}

TEST(Flowtables, AreReferencesToTheirModules) {
  const test::Folder sysfs;
  EXPECT_EQ(count_flowtables(sysfs.path()), std::nullopt);
  const auto module = [&](const char* name, const char* references) {
    fs::create_directories(sysfs.path() / "module" / name);
    std::ofstream(sysfs.path() / "module" / name / "refcnt") << references;
  };
  module("nf_flow_table", "1\n");  // of the modules that need it, which says nothing
  EXPECT_EQ(count_flowtables(sysfs.path()), std::nullopt);
  module("nf_flow_table_inet", "0\n");
  EXPECT_EQ(count_flowtables(sysfs.path()), 0U);
  module("nf_flow_table_inet", "2\n");
  module("nf_flow_table_ipv6", "1\n");
  EXPECT_EQ(count_flowtables(sysfs.path()), 3U);
  module("nf_flow_table_inet", "-1\n");
  EXPECT_EQ(count_flowtables(sysfs.path()), 1U);
}

}  // namespace
}  // namespace nfbpf::reader
