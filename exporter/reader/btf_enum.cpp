// SPDX-License-Identifier: Apache-2.0
#include "reader/btf_enum.h"

#include <bpf/btf.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <string_view>

namespace nfbpf::reader {
namespace {

std::vector<traffic::EnumName> enumerators(const btf* b, const btf_type* t) {
  std::vector<traffic::EnumName> names;
  for (std::uint32_t i = 0; i < btf_vlen(t); ++i) {
    // A member narrower than 64 bits is read without its sign, so the enumerator is cut to its
    // width too.
    const std::uint64_t mask = t->size >= 8 ? ~0ULL : (1ULL << (t->size * 8)) - 1;
    std::uint64_t value = 0;
    std::uint32_t name_off = 0;
    if (btf_is_enum64(t)) {
      value = btf_enum64_value(btf_enum64(t) + i);
      name_off = btf_enum64(t)[i].name_off;
    } else {
      value = static_cast<std::uint64_t>(static_cast<std::int64_t>(btf_enum(t)[i].val));
      name_off = btf_enum(t)[i].name_off;
    }
    const char* name = btf__name_by_offset(b, name_off);
    names.push_back({value & mask, name == nullptr ? "" : name});
  }
  return names;
}

// Bytes that all names share, up to and with the last '_' among them.
std::size_t shared_prefix(const std::vector<traffic::EnumName>& names) {
  std::string_view shared = names.front().name;
  for (const auto& [value, name] : names) {
    const auto end = std::ranges::mismatch(shared, name).in1;
    shared = shared.substr(0, static_cast<std::size_t>(end - shared.begin()));
  }
  const auto last = shared.rfind('_');
  return last == std::string_view::npos ? 0 : last + 1;
}

bool readable(const std::vector<traffic::EnumName>& names) {
  std::set<std::string_view> seen;
  return std::ranges::all_of(names, [&](const traffic::EnumName& n) {
    return !n.name.empty() && !std::isdigit(static_cast<unsigned char>(n.name[0])) &&
           seen.insert(n.name).second;
  });
}

}  // namespace

std::vector<traffic::EnumName> enum_names(const btf* b, const btf_type* t) {
  auto names = enumerators(b, t);
  if (names.empty()) return names;
  auto shortened = names;
  const std::size_t prefix = shared_prefix(names);
  for (auto& [value, name] : shortened) {
    name.erase(0, prefix);
    std::ranges::transform(name, name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  }
  return readable(shortened) ? shortened : names;
}

}  // namespace nfbpf::reader
