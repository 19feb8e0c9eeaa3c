// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace nfbpf::loader {

// The rules of a program that was attached with --filters, as bpf/abi/nfbpf.h defines them. One
// line of a rule file each:
//
//   deny 10.0.0.0/8            # packets from or to these addresses are left out
//   allow 2001:db8::/32        # with an allow of its kind, only what is allowed is counted
//   deny protocol icmp
//   allow port 443
//
// "#" starts a comment. A rule file says everything: what it does not name is no rule any more.
struct Rules {
  using Key = std::vector<std::byte>;                       // as in the map of its kind
  std::map<Key, std::uint32_t> ipv4, ipv6, port, protocol;  // enum nfbpf_verdict
};

// `name` is for messages: "FILE:LINE: ...".
[[nodiscard]] Result<Rules> parse_rules(const std::string& text, const std::string& name);

// Where a filter map is, by its name: a descriptor that stays open while rules are applied.
using FilterMaps = std::function<Result<int>(const char* name)>;

// Changes the maps to these rules while packets flow. A packet that meets the change half-way is
// judged by some of the old rules and some of the new ones. Returns how many rules there are. On an
// error the maps hold a part of the new rules: apply again.
[[nodiscard]] Result<std::size_t> apply_rules(const FilterMaps& maps, const Rules& rules);
[[nodiscard]] Result<std::size_t> apply_rules(const std::filesystem::path& pin_dir,
                                              const Rules& rules);

// What the pinned maps hold, as lines of a rule file.
[[nodiscard]] Result<std::vector<std::string>> list_rules(const std::filesystem::path& pin_dir);

}  // namespace nfbpf::loader
