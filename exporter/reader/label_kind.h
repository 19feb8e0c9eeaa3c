// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "reader/btf_members.h"
#include "traffic/table.h"

namespace nfbpf::reader {

// What one member of a key is shown as.
struct LabelKind {
  bool hidden = false;
  traffic::FieldKind kind = traffic::FieldKind::kUint;
  std::vector<traffic::EnumName> names{};
};

// By typedef or tag, else by the type itself. A union is for whoever knows the member's siblings:
// here it is an error.
[[nodiscard]] Result<LabelKind> label_kind(const btf* b, const Member& member);

// Reserved members, and what belongs to the kernel: shown nowhere.
[[nodiscard]] bool is_hidden(const btf* b, const Resolved& r);

// A struct that is shown as one label or not at all, so that its members are nobody's.
[[nodiscard]] bool is_shown_whole(const btf* b, const Resolved& r);

// The typedef that a declaration tag "nfbpf:WORD" stands for; empty: no such word.
[[nodiscard]] std::string_view typedef_of_tag(std::string_view word);

}  // namespace nfbpf::reader
