// SPDX-License-Identifier: Apache-2.0
#include "config/place.h"

#include "config/nearest.h"

namespace nfbpf::config {

tl::unexpected<Error> Place::refuse(const std::string& what) const {
  std::string at = file;
  if (!mark.is_null())
    at += ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
  return fail(at + ": " + (key.empty() ? "" : key + ": ") + what);
}

std::string kind_of(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Map:
      return "a mapping";
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Scalar:
      return "\"" + node.Scalar() + "\"";
    default:
      return "nothing";
  }
}

Result<std::string> scalar(const Place& place, const YAML::Node& node, const std::string& allowed) {
  if (!node.IsScalar() || node.Scalar().empty())
    return place.refuse("has " + kind_of(node) + ", allowed is " + allowed);
  return node.Scalar();
}

Result<void> for_each_entry(const Place& place, const YAML::Node& map, const Entry& entry) {
  std::vector<std::string> seen;
  for (const auto& pair : map) {
    const YAML::Node& name = pair.first;
    const Place here{place.file, place.key, name.Mark()};
    if (!name.IsScalar()) return here.refuse("a key is " + kind_of(name) + ", allowed is a word");
    const std::string& word = name.Scalar();
    const Place at{place.file, place.key.empty() ? word : place.key + "." + word, name.Mark()};
    if (std::ranges::find(seen, word) != seen.end()) return at.refuse("stands here twice");
    seen.push_back(word);
    if (auto ok = entry(at, word, pair.second); !ok) return ok;
  }
  return {};
}

tl::unexpected<Error> refuse_key(const Place& place, const std::string& word,
                                 const std::vector<std::string>& known) {
  std::string what = "is no key here";
  if (const auto meant = nearest(word, known))
    return place.refuse(what + "; did you mean " + *meant + "?");
  what += "; known are";
  for (const std::string& each : known) what += (&each == &known[0] ? " " : ", ") + each;
  return place.refuse(what);
}

}  // namespace nfbpf::config
