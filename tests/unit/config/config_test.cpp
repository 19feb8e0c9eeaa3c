// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <gtest/gtest.h>

#include <fstream>

#include "folder.h"

namespace nfbpf::config {
namespace {

TEST(Config, HasDefaultsForAnEmptyFile) {
  for (const char* empty : {"", "# a comment\n", "---\n"}) {
    const auto config = parse(empty, "f.yaml");
    ASSERT_TRUE(config) << config.error().what;
    EXPECT_EQ(config->run_dir, "/run/nfbpf");
    EXPECT_TRUE(config->pin_dir.empty());
    ASSERT_EQ(config->listen_addresses.size(), 1U);
    EXPECT_EQ(config->listen_addresses[0].text(), kDefaultListenAddress);
    EXPECT_EQ(config->telemetry_path, "/metrics");
  }
}

TEST(Config, ReadsEveryKey) {
  const auto config = parse(R"(
pin_dir: /p
run_dir: /r
web:
  listen_addresses: [":1", "[::1]:2"]
  telemetry_path: /m
log: {level: debug, format: json}
)",
                            "f.yaml");
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_EQ(config->pin_dir, "/p");
  EXPECT_EQ(config->run_dir, "/r");
  ASSERT_EQ(config->listen_addresses.size(), 2U);
  EXPECT_EQ(config->listen_addresses[1].text(), "[::1]:2");
  EXPECT_EQ(config->telemetry_path, "/m");
  EXPECT_EQ(config->log_level, LogLevel::kDebug);
  EXPECT_EQ(config->log_format, LogFormat::kJson);
}

struct Refused {
  const char* yaml;
  const char* error;
};

const Refused kRefused[] = {
    {"pin_dri: /x", "f.yaml:1:1: pin_dri: is no key of this file; did you mean pin_dir?"},
    {"web:\n  listen_address: [\":1\"]",
     "f.yaml:2:3: web.listen_address: is no key of this file; did you mean web.listen_addresses?"},
    {"wbe: {}", "f.yaml:1:1: wbe: is no key of this file; did you mean web?"},
    {"elephant: 1",
     "f.yaml:1:1: elephant: is no key of this file; known are pin_dir, run_dir, "
     "web.listen_addresses, "
     "web.telemetry_path, log.level, log.format"},
    {"run_dir: run", "f.yaml:1:10: run_dir: has \"run\", allowed is an absolute path"},
    {"\nrun_dir:", "f.yaml:2:1: run_dir: has nothing, allowed is an absolute path"},
    {"run_dir: [/a]", "f.yaml:1:10: run_dir: has a list, allowed is an absolute path"},
    {"log: info", "f.yaml:1:6: log: has \"info\", allowed is a mapping"},
    {"log:\n  level: loud",
     "f.yaml:2:10: log.level: has \"loud\", allowed is debug, info, warn or error"},
    {"log: {format: xml}", "f.yaml:1:15: log.format: has \"xml\", allowed is logfmt or json"},
    {"web:\n  listen_addresses: \":9987\"",
     "f.yaml:2:21: web.listen_addresses: has \":9987\", allowed is a list of addresses such as "
     ":9987, "
     "127.0.0.1:9987 or [::1]:9987"},
    {"web:\n  listen_addresses: []",
     "f.yaml:2:21: web.listen_addresses: has a list, allowed is a list of addresses such as :9987, "
     "127.0.0.1:9987 or [::1]:9987"},
    {"web:\n  listen_addresses:\n    - \":1\"\n    - \"host:1\"",
     "f.yaml:4:7: web.listen_addresses[1]: \"host:1\" is no address to listen on: the host is no "
     "IPv4 "
     "address; use :9987, 127.0.0.1:9987 or [::1]:9987"},
    {"web:\n  listen_addresses: [\":1\", \":1\"]",
     "f.yaml:2:28: web.listen_addresses[1]: \":1\" stands in the list twice"},
    {"web: {telemetry_path: metrics}",
     "f.yaml:1:23: web.telemetry_path: \"metrics\" is no path: it starts with / and has no space, "
     "query, "
     "escape or dot segment; use a path such as /metrics"},
    {"web: {telemetry_path: /}",
     "f.yaml:1:23: web.telemetry_path: \"/\" is the server's own; use a path such as /metrics"},
    {"run_dir: /a\nrun_dir: /b", "f.yaml:2:1: run_dir: stands here twice"},
    {"- run_dir", "f.yaml:1:1: has a list, allowed is a mapping of keys"},
    {"just words", "f.yaml:1:1: has \"just words\", allowed is a mapping of keys"},
    {"\n\nrun_dir: [", "f.yaml:3:1: is not YAML: end of sequence flow not found"},
    {"? [a]\n: b", "f.yaml:1:3: a key is a list, allowed is a word"},
    {"run_dir: /a\n---\nrun_dir: /b", "f.yaml:3:1: a second document begins; one is allowed"},
};

TEST(Config, RefusesWithPlaceKeyValueAndWhatIsAllowed) {
  for (const Refused& c : kRefused) {
    const auto config = parse(c.yaml, "f.yaml");
    ASSERT_FALSE(config) << c.yaml;
    EXPECT_EQ(config.error().what, c.error);
  }
}

TEST(Config, NamesAFileThatCannotBeRead) {
  const test::Folder folder;
  auto config = load(folder.path() / "missing.yaml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().what, (folder.path() / "missing.yaml").string() +
                                     ": cannot read the configuration: No such file or directory");
  config = load(folder.path());
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().what, folder.path().string() + ": is a directory; name a YAML file");
}

TEST(Config, TheShippedFileIsValidAndSaysTheDefaults) {
  const auto config = load(NFBPF_SOURCE_DIR "/config/nfbpf_exporter.yaml");
  ASSERT_TRUE(config) << config.error().what;
  const auto defaults = Config::defaults();
  EXPECT_EQ(config->run_dir, defaults.run_dir);
  EXPECT_EQ(config->listen_addresses, defaults.listen_addresses);
  EXPECT_EQ(config->telemetry_path, defaults.telemetry_path);
  EXPECT_EQ(config->log_level, defaults.log_level);
  EXPECT_EQ(config->log_format, defaults.log_format);
}

}  // namespace
}  // namespace nfbpf::config
