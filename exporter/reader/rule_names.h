// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "reader/btf_members.h"

namespace nfbpf::reader {

// " port", and for a member without a name " at byte 4": how errors name it.
inline std::string member_place(const Member& member) {
  return member.name.empty() ? " at byte " + std::to_string(member.offset) : " " + member.name;
}

// Every name for which the configuration has a rule must be there, or a typing error would go
// unseen. `section` is the key of the rules in the configuration.
template <typename Rules>
[[nodiscard]] Result<void> check_rule_names(const Rules& rules, const std::vector<Member>& members,
                                            const std::string& where, const std::string& section) {
  for (const auto& [name, rule] : rules) {
    if (std::ranges::find(members, name, &Member::name) != members.end()) continue;
    std::string what = where + ": has no member \"" + name +
                       "\", which the configuration names in " + section + "; it has";
    for (const Member& member : members)
      what += (&member == &members[0] ? " " : ", ") + member.name;
    return fail(what);
  }
  return {};
}

}  // namespace nfbpf::reader
