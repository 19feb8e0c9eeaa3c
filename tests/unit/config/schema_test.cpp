// SPDX-License-Identifier: Apache-2.0
// The JSON schema that editors use and the code that reads the file know the same keys and words.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "config/config.h"

namespace nfbpf::config {
namespace {

using nlohmann::json;

json schema() {
  return json::parse(std::ifstream(NFBPF_SOURCE_DIR "/config/nfbpf_exporter.schema.json"));
}

// Dotted names of what is no object itself.
void collect_keys(const json& object, const std::string& prefix, std::vector<std::string>& keys) {
  EXPECT_EQ(object.at("additionalProperties"), false) << prefix << ": unknown keys are refused";
  for (const auto& [name, value] : object.at("properties").items()) {
    const std::string key = prefix + name;
    EXPECT_FALSE(value.value("description", "").empty()) << key;
    if (value.at("type") == "object")
      collect_keys(value, key + ".", keys);
    else
      keys.push_back(key);
  }
}

TEST(Schema, KnowsTheKeysOfTheCode) {
  std::vector<std::string> in_schema;
  collect_keys(schema(), "", in_schema);
  auto in_code = known_keys();
  std::ranges::sort(in_schema);
  std::ranges::sort(in_code);
  EXPECT_EQ(in_schema, in_code);
}

TEST(Schema, KnowsTheWordsOfTheCode) {
  const json log = schema().at("properties").at("log").at("properties");
  for (const json& word : log.at("level").at("enum"))
    EXPECT_TRUE(log_level_of(word.get<std::string>()));
  for (const json& word : log.at("format").at("enum"))
    EXPECT_TRUE(log_format_of(word.get<std::string>()));
  EXPECT_EQ(log.at("level").at("enum").size(), 4U);
  EXPECT_EQ(log.at("format").at("enum").size(), 2U);
}

TEST(Schema, HasTheDefaultsOfTheCode) {
  const json properties = schema().at("properties");
  const json& web = properties.at("web").at("properties");
  EXPECT_EQ(properties.at("run_dir").at("default"), Config::defaults().run_dir.string());
  EXPECT_EQ(web.at("listen_addresses").at("default"), json::array({kDefaultListenAddress}));
  EXPECT_EQ(web.at("telemetry_path").at("default"), kDefaultTelemetryPath);
}

}  // namespace
}  // namespace nfbpf::config
