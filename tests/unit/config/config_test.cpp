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

// Their parents are folders that are opened: one of "/run/nfbpf/" is not "/run/nfbpf".
TEST(Config, KnowsAFolderByOneName) {
  for (const std::string name :
       {"/run/nfbpf", "/run/nfbpf/", "//run/./nfbpf//", "/run/x/../nfbpf"}) {
    const auto config = parse("run_dir: " + name + "\npin_dir: " + name, "f.yaml");
    ASSERT_TRUE(config) << config.error().what;
    EXPECT_EQ(config->run_dir, "/run/nfbpf") << name;
    EXPECT_EQ(config->pin_dir, "/run/nfbpf") << name;
    EXPECT_EQ(config->run_dir.parent_path(), "/run") << name;
  }
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
     "maps, pinned_maps, series_limit, idle_timeout, networks, networks_file, groups, "
     "web.listen_addresses, web.telemetry_path, web.compression, log.level, log.format"},
    {"networks: {a: [10.0.0.0/8], b: [10.0.0.0/8]}",
     "f.yaml:1:33: networks.b[0]: network 10.0.0.0/8 is called \"b\" and \"a\"; leave one out"},
    {"networks: {a: [10.0.0.0/40]}",
     "f.yaml:1:16: networks.a[0]: \"10.0.0.0/40\" has no length from 0 to 32"},
    {"networks: {a: 10.0.0.0/8}",
     "f.yaml:1:15: networks.a: has \"10.0.0.0/8\", allowed is a list such as [10.0.0.0/8, "
     "2001:db8::/32]"},
    {"networks_file: /nonexistent",
     "f.yaml:1:16: networks_file: /nonexistent: No such file or directory"},
    {"groups: {source: all}",
     "f.yaml:1:18: groups.source: has \"all\", allowed is address, group or both"},
    {"series_limit: 0",
     "f.yaml:1:15: series_limit: has \"0\", allowed is a whole number from 1 to 10000000"},
    {"series_limit: -3",
     "f.yaml:1:15: series_limit: has \"-3\", allowed is a whole number from 1 to 10000000"},
    {"series_limit: 20000000",
     "f.yaml:1:15: series_limit: has \"20000000\", allowed is a whole number from 1 to 10000000"},
    {"idle_timeout: 15",
     "f.yaml:1:15: idle_timeout: has \"15\", allowed is a duration from 10s to 30d such as 90s, "
     "15m, 2h or 1d"},
    {"idle_timeout: 5s",
     "f.yaml:1:15: idle_timeout: has \"5s\", allowed is a duration from 10s to 30d such as 90s, "
     "15m, 2h or 1d"},
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
    {"maps: [a]", "f.yaml:1:7: maps: has a list, allowed is a mapping of names"},
    {"maps:\n  m: {dorp: true}", "f.yaml:2:7: maps.m.dorp: is no key here; did you mean drop?"},
    {"maps:\n  m:\n    drop: maybe",
     "f.yaml:3:11: maps.m.drop: has \"maybe\", allowed is true or false"},
    {"maps: {m: {family: 1up}}",
     "f.yaml:1:20: maps.m.family: has \"1up\", allowed is a name of letters, digits and _ that "
     "begins with no digit"},
    {"maps: {m: {labels: {pid: {rename: __pid}}}}",
     "f.yaml:1:35: maps.m.labels.pid.rename: has \"__pid\", allowed is a name that does not begin "
     "with __"},
    {"maps: {m: {labels: {pid: {unit: bytes}}}}",
     "f.yaml:1:27: maps.m.labels.pid.unit: is no key here; known are rename, drop"},
    {"maps: {m: {members: {x: {unit: hours}}}}",
     "f.yaml:1:32: maps.m.members.x.unit: has \"hours\", allowed is none, nanoseconds, seconds or "
     "bytes"},
    {"maps: {m: {members: {x: {type: histogram}}}}",
     "f.yaml:1:32: maps.m.members.x.type: has \"histogram\", allowed is counter or gauge"},
    {"maps: {m: {members: {x: {bounds: []}}}}",
     "f.yaml:1:34: maps.m.members.x.bounds: has a list, allowed is a list of whole numbers, "
     "ascending"},
    {"maps: {m: {members: {x: {bounds: [1, -2]}}}}",
     "f.yaml:1:38: maps.m.members.x.bounds[1]: has \"-2\", allowed is a whole number"},
    {"maps: {m: {members: {x: {bounds: [5, 5]}}}}",
     "f.yaml:1:38: maps.m.members.x.bounds[1]: has 5 after 5; bounds ascend"},
    {"maps: {m: {members: {x: }}}",
     "f.yaml:1:22: maps.m.members.x: has nothing, allowed is a mapping"},
    {"maps: {m: {}, m: {}}", "f.yaml:1:15: maps.m: stands here twice"},
    {"pinned_maps: {}", "f.yaml:1:14: pinned_maps: has a mapping, allowed is a list of pins"},
    {"pinned_maps: [{name: a}]", "f.yaml:1:15: pinned_maps[0]: has no path, which names the pin"},
    {"pinned_maps: [{path: a}]",
     "f.yaml:1:22: pinned_maps[0].path: has \"a\", allowed is an absolute path"},
    {"pinned_maps: [{path: /b/a-b}]",
     "f.yaml:1:15: pinned_maps[0]: \"a-b\" can be no part of a metric's name; give the map another "
     "with name"},
    {"pinned_maps: [{path: /b/a}, {path: /c/a}]",
     "f.yaml:1:29: pinned_maps[1]: is the second map named a; give one of them another with name"},
    {"run_dir: /a\nrun_dir: /b", "f.yaml:2:1: run_dir: stands here twice"},
    {"- run_dir", "f.yaml:1:1: has a list, allowed is a mapping of keys"},
    {"just words", "f.yaml:1:1: has \"just words\", allowed is a mapping of keys"},
    {"\n\nrun_dir: [", "f.yaml:3:1: is not YAML: end of sequence flow not found"},
    {"? [a]\n: b", "f.yaml:1:3: a key is a list, allowed is a word"},
    {"run_dir: /a\n---\nrun_dir: /b", "f.yaml:3:1: a second document begins; one is allowed"},
};

TEST(Config, ReadsRulesForMaps) {
  const auto config = parse(R"(
maps:
  requests:
    family: site_requests
    help: Requests.
    labels: {pid: {drop: true}, addr: {rename: client}}
    members:
      took: {unit: nanoseconds, bounds: [1000, 18446744073709551615], help: Time.}
      open: {type: gauge, rename: open_requests}
      scratch: {drop: true}
  state: {drop: true}
pinned_maps:
  - {path: /b/requests, btf: /etc/t.btf}
  - {path: /b/x-y, name: x_y}
)",
                            "f.yaml");
  ASSERT_TRUE(config) << config.error().what;
  ASSERT_EQ(config->maps.size(), 2U);
  EXPECT_TRUE(config->maps.at("state").drop);
  const auto& requests = config->maps.at("requests");
  EXPECT_FALSE(requests.drop);
  EXPECT_EQ(requests.family, "site_requests");
  EXPECT_EQ(requests.help, "Requests.");
  EXPECT_TRUE(requests.labels.at("pid").drop);
  EXPECT_EQ(requests.labels.at("addr").name, "client");
  const auto& took = requests.members.at("took");
  EXPECT_EQ(took.unit, traffic::NamedUnit::kNanoseconds);
  EXPECT_EQ(took.bounds, (std::vector<std::uint64_t>{1000, 18446744073709551615ULL}));
  EXPECT_EQ(took.help, "Time.");
  EXPECT_FALSE(took.type);
  EXPECT_EQ(requests.members.at("open").type, traffic::MetricType::kGauge);
  EXPECT_EQ(requests.members.at("open").name, "open_requests");
  EXPECT_TRUE(requests.members.at("scratch").drop);
  ASSERT_EQ(config->pinned_maps.size(), 2U);
  EXPECT_EQ(config->pinned_maps[0].name, "requests");
  EXPECT_EQ(config->pinned_maps[0].btf, "/etc/t.btf");
  EXPECT_EQ(config->pinned_maps[1].name, "x_y");
}

// The comments that show rules are rules.
TEST(Config, TheExamplesInTheShippedFileAreValid) {
  std::ifstream file(NFBPF_SOURCE_DIR "/config/nfbpf_exporter.yaml");
  std::string text;
  bool example = false;
  for (std::string line; std::getline(file, line);) {
    example = line.starts_with("# maps:") || line.starts_with("# pinned_maps:") ||
              (example && line.starts_with("#   "));
    if (example) text += line.substr(2) + "\n";
  }
  const auto config = parse(text, "f.yaml");
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_EQ(config->maps.size(), 2U);
  EXPECT_EQ(config->pinned_maps.size(), 1U);
}

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
