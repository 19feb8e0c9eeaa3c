// SPDX-License-Identifier: Apache-2.0
// The JSON schema that editors use and the code that reads the file know the same keys and words.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "config/config.h"
#include "config/map_rules.h"

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
    // Names of maps are no keys of ours.
    const bool named =
        value.contains("additionalProperties") && value.at("additionalProperties").is_object();
    if (value.at("type") == "object" && !named)
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

std::vector<std::string> sorted(std::vector<std::string> keys) {
  std::ranges::sort(keys);
  return keys;
}

std::vector<std::string> keys_of(const char* definition) {
  const json object = schema().at("$defs").at(definition);
  EXPECT_EQ(object.at("additionalProperties"), false) << definition;
  std::vector<std::string> keys;
  for (const auto& [name, value] : object.at("properties").items()) {
    EXPECT_FALSE(value.value("description", "").empty()) << definition << "." << name;
    keys.push_back(name);
  }
  return keys;
}

TEST(Schema, KnowsTheKeysOfRules) {
  const RuleKeys keys = rule_keys();
  EXPECT_EQ(keys_of("map"), sorted(keys.map));
  EXPECT_EQ(keys_of("member"), sorted(keys.member));
  EXPECT_EQ(keys_of("label"), sorted(keys.label));
  EXPECT_EQ(keys_of("pinned_map"), sorted(keys.pinned));
}

TEST(Schema, KnowsTheWordsOfRules) {
  const json member = schema().at("$defs").at("member").at("properties");
  for (const json& word : member.at("unit").at("enum"))
    EXPECT_TRUE(unit_of(word.get<std::string>()));
  for (const json& word : member.at("type").at("enum"))
    EXPECT_TRUE(type_of(word.get<std::string>()));
  EXPECT_EQ(member.at("unit").at("enum").size(), 4U);
  EXPECT_EQ(member.at("type").at("enum").size(), 2U);
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
