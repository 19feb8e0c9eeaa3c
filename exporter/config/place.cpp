// SPDX-License-Identifier: Apache-2.0
#include "config/place.h"

#include <yaml-cpp/eventhandler.h>

#include <optional>
#include <sstream>

#include "config/nearest.h"

namespace nfbpf::config {

namespace {

// An error is one line, whatever stands in the file.
std::string on_one_line(const std::string& text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string line;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet >= 0x20 && octet != 0x7f)
      line += c;
    else
      line += {'\\', 'x', kHex[octet >> 4U], kHex[octet & 0xfU]};
  }
  return line;
}

// Where a document begins, if it has anything in it.
class Beginning final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { note(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                const std::string&) override {
    note(mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    note(mark);
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    note(mark);
  }
  void OnMapEnd() override {}

  std::optional<YAML::Mark> begins;

 private:
  void note(const YAML::Mark& at) {
    if (!begins) begins = at;
  }
};

// YAML::LoadAll() would do, but yaml-cpp 0.7 finds documents without end in some text that is none.
std::optional<YAML::Mark> second_document(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Beginning first;
  Beginning second;
  if (!parser.HandleNextDocument(first) || !parser.HandleNextDocument(second)) return std::nullopt;
  return second.begins;
}

}  // namespace

Result<YAML::Node> parse_yaml(const std::string& text, const std::string& name) {
  try {
    YAML::Node root = YAML::Load(text);
    if (const auto second = second_document(text))
      return Place{name, "", *second}.refuse("a second document begins; one is allowed");
    return root;
  } catch (const YAML::Exception& e) {
    return Place{name, "", e.mark}.refuse("is not YAML: " + e.msg);
  }
}

tl::unexpected<Error> Place::refuse(const std::string& what) const {
  std::string at = file;
  if (!mark.is_null())
    at += ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
  return fail(on_one_line(at + ": " + (key.empty() ? "" : key + ": ") + what));
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
