// SPDX-License-Identifier: Apache-2.0
#include "config/networks.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace nfbpf::config {
namespace {

// A hundred thousand lines of the longest kind are a tenth of this.
constexpr std::uintmax_t kMaxFileBytes = std::uintmax_t{64} << 20U;

std::optional<traffic::Shown> shown_of(std::string_view word) {
  if (word == "address") return traffic::Shown::kAddress;
  if (word == "group") return traffic::Shown::kGroup;
  if (word == "both") return traffic::Shown::kBoth;
  return std::nullopt;
}

// "cidr name", and # begins a comment.
Result<void> read_line(const std::string& where, std::string line, traffic::Networks& networks) {
  line.resize(std::min(line.size(), line.find('#')));
  std::istringstream words(line);
  std::string cidr;
  std::string name;
  std::string more;
  if (!(words >> cidr)) return {};
  if (!(words >> name)) return fail(where + ": \"" + cidr + "\" has no name behind it");
  if (words >> more)
    return fail(where + ": \"" + more +
                "\" stands behind the name; a line is a network and a name");
  if (auto ok = networks.add(cidr, name); !ok) return fail(where + ": " + ok.error().what);
  return {};
}

}  // namespace

Result<void> read_networks(const Place& place, const YAML::Node& node,
                           traffic::Networks& networks) {
  if (!node.IsMap())
    return place.refuse("has " + kind_of(node) + ", allowed is a mapping of names to networks");
  return for_each_entry(
      place, node,
      [&](const Place& at, const std::string& name, const YAML::Node& value) -> Result<void> {
        if (!value.IsSequence())
          return at.of_value(value).refuse(
              "has " + kind_of(value) + ", allowed is a list such as [10.0.0.0/8, 2001:db8::/32]");
        for (std::size_t i = 0; i < value.size(); ++i) {
          const Place entry{at.file, at.key + "[" + std::to_string(i) + "]", value[i].Mark()};
          const auto cidr = scalar(entry, value[i], "a network such as 10.0.0.0/8");
          if (!cidr) return tl::unexpected(cidr.error());
          if (auto ok = networks.add(*cidr, name); !ok) return entry.refuse(ok.error().what);
        }
        return {};
      });
}

Result<void> read_networks_file(const Place& place, const YAML::Node& node,
                                traffic::Networks& networks) {
  const auto path = scalar(place, node, "a path");
  if (!path) return tl::unexpected(path.error());
  std::error_code code;
  const auto size = std::filesystem::file_size(*path, code);
  if (code) return place.refuse(*path + ": " + code.message());
  if (size > kMaxFileBytes)
    return place.refuse(*path + " has " + std::to_string(size) + " bytes, at most " +
                        std::to_string(kMaxFileBytes) + " are read");
  errno = 0;
  std::ifstream file(*path);
  if (!file) return place.refuse(*path + ": " + std::generic_category().message(errno));
  return read_network_lines(file, *path, networks);
}

Result<void> read_network_lines(std::istream& lines, const std::string& name,
                                traffic::Networks& networks) {
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string where = name + ":" + std::to_string(++number);
    if (auto ok = read_line(where, std::move(line), networks); !ok) return ok;
  }
  return {};
}

Result<void> read_groups(const Place& place, const YAML::Node& node,
                         std::map<std::string, traffic::Shown>& labels) {
  if (!node.IsMap())
    return place.refuse("has " + kind_of(node) +
                        ", allowed is a mapping of labels to address, group or both");
  return for_each_entry(place, node,
                        [&](const Place& at, const std::string& label, const YAML::Node& value) {
                          return set_word(at.of_value(value), value, "address, group or both",
                                          shown_of, labels[label]);
                        });
}

}  // namespace nfbpf::config
