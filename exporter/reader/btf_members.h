// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct btf;
struct btf_type;

namespace nfbpf::reader {

// A type: the names met on the way down and what is at the bottom. Names point into the BTF.
struct Resolved {
  std::vector<std::string_view> typedefs;  // outermost first
  const btf_type* type = nullptr;          // no typedef, const or volatile
  std::uint32_t id = 0;

  [[nodiscard]] bool is(std::string_view name) const {
    return std::ranges::find(typedefs, name) != typedefs.end();
  }
  [[nodiscard]] bool is_any(std::string_view beginning) const {
    return std::ranges::any_of(typedefs,
                               [&](std::string_view name) { return name.starts_with(beginning); });
  }
};

[[nodiscard]] Result<Resolved> resolve(const btf* b, std::uint32_t id);
// Empty for what has no name.
[[nodiscard]] std::string_view type_name(const btf* b, const btf_type* t);

// One member of a key or value, those of nested structs with the struct's name before theirs.
struct Member {
  std::string name;    // "peer_port"
  std::string parent;  // "peer"
  Resolved type;
  std::uint32_t offset = 0;  // bytes, from the start of the whole
  std::uint32_t size = 0;    // bytes

  [[nodiscard]] std::string own_name() const {
    return name.substr(parent.empty() ? 0 : parent.size() + 1);
  }
};

// The members of a type, nested structs flattened but for those that are shown as one, such as an
// address; the type itself, without a name, where it is no such struct. `where` begins errors. A
// declaration tag "nfbpf:KIND" of a member counts as a typedef nfbpf_KIND_t.
[[nodiscard]] Result<std::vector<Member>> members_of(const btf* b, std::uint32_t id,
                                                     const std::string& where);

}  // namespace nfbpf::reader
