// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nfbpf::config {

// Where we are in a file: what every error begins with.
struct Place {
  const std::string& file;
  std::string key;  // dotted
  YAML::Mark mark;

  // "file:line:column: key: what"
  [[nodiscard]] tl::unexpected<Error> refuse(const std::string& what) const;
  // Where the value of this key is. A key without a value has no place of its own.
  [[nodiscard]] Place of_value(const YAML::Node& value) const {
    return {file, key, value.IsNull() ? mark : value.Mark()};
  }
};

// The one document of a file; `name` stands for the file in errors. Empty text: a node that is
// null.
[[nodiscard]] Result<YAML::Node> parse_yaml(const std::string& text, const std::string& name);

// "a mapping", "a list", the text in quotes, or "nothing".
[[nodiscard]] std::string kind_of(const YAML::Node& node);

// A text that is not empty; `allowed` is what an error says is.
[[nodiscard]] Result<std::string> scalar(const Place& place, const YAML::Node& node,
                                         const std::string& allowed);

// One of a few words, which `of` knows.
template <typename Value>
[[nodiscard]] Result<void> set_word(const Place& place, const YAML::Node& node, const char* allowed,
                                    std::optional<Value> (*of)(std::string_view), Value& target) {
  const auto word = scalar(place, node, allowed);
  if (!word) return tl::unexpected(word.error());
  const auto value = of(*word);
  if (!value) return place.refuse("has \"" + *word + "\", allowed is " + allowed);
  target = *value;
  return {};
}

// Calls `entry` with the place of each key, its last word and its value; a key that stands twice is
// an error.
using Entry = std::function<Result<void>(const Place&, const std::string&, const YAML::Node&)>;
[[nodiscard]] Result<void> for_each_entry(const Place& place, const YAML::Node& map,
                                          const Entry& entry);

// That a key is none of `known`, and which of them was probably meant.
[[nodiscard]] tl::unexpected<Error> refuse_key(const Place& place, const std::string& word,
                                               const std::vector<std::string>& known);

}  // namespace nfbpf::config
