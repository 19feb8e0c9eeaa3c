// SPDX-License-Identifier: Apache-2.0
#include "command_line.h"

#include <gtest/gtest.h>

#include <fstream>

#include "folder.h"

namespace nfbpf {
namespace {

Result<CommandLine> read(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "nfbpf_exporter");
  return read_command_line(static_cast<int>(arguments.size()), arguments.data(), "version 9");
}

TEST(CommandLine, HasDefaultsWithoutAnyFlag) {
  const auto command = read({});
  ASSERT_TRUE(command) << command.error().what;
  ASSERT_TRUE(command->settings);
  EXPECT_EQ(command->settings->config.listen_addresses[0].text(), ":9987");
  EXPECT_EQ(command->settings->sysfs, "/sys");
}

TEST(CommandLine, LetsFlagsWinOverTheFile) {
  const test::Folder folder;
  const std::string file = (folder.path() / "c.yaml").string();
  std::ofstream(file) << "web: {listen_addresses: [\":1\", \":2\"], telemetry_path: /file}\nlog: "
                         "{level: warn, format: json}\n";
  const auto command =
      read({"--config.file", file.c_str(), "--web.listen-address", ":3",
            "--web.listen-address=[::1]:4", "--log.level", "error", "--path.sysfs", "/other"});
  ASSERT_TRUE(command) << command.error().what;
  const auto& config = command->settings->config;
  ASSERT_EQ(config.listen_addresses.size(), 2U);
  EXPECT_EQ(config.listen_addresses[0].text(), ":3");
  EXPECT_EQ(config.listen_addresses[1].text(), "[::1]:4");
  EXPECT_EQ(config.telemetry_path, "/file");
  EXPECT_EQ(config.log_level, config::LogLevel::kError);
  EXPECT_EQ(config.log_format, config::LogFormat::kJson);
  EXPECT_EQ(command->settings->sysfs, "/other");
}

TEST(CommandLine, AnswersVersionHelpAndCheck) {
  for (const char* flag : {"--version", "--help", "--config.check"}) {
    testing::internal::CaptureStdout();
    const auto command = read({flag});
    const std::string out = testing::internal::GetCapturedStdout();
    ASSERT_TRUE(command) << flag;
    EXPECT_FALSE(command->settings) << flag;
    EXPECT_EQ(command->exit_status, 0);
    EXPECT_FALSE(out.empty()) << flag;
  }
}

TEST(CommandLine, RefusesInOneLine) {
  for (const auto& arguments :
       std::vector<std::vector<const char*>>{{"--web.listen-address", "nope"},
                                             {"--web.telemetry-path", "nope"},
                                             {"--log.level", "nope"},
                                             {"--log.format", "nope"},
                                             {"--nope"},
                                             {"nope"},
                                             {"--config.file", "/nonexistent"}}) {
    const auto command = read(arguments);
    ASSERT_FALSE(command) << arguments[0];
    EXPECT_EQ(command.error().what.find('\n'), std::string::npos);
    EXPECT_NE(command.error().what.find(arguments.back()), std::string::npos)
        << command.error().what;
  }
}

}  // namespace
}  // namespace nfbpf
