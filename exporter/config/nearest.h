// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nfbpf::config {

// The known word that `word` was probably meant to be: the fewest edits, and no more than a third
// of its length.
[[nodiscard]] std::optional<std::string> nearest(std::string_view word,
                                                 const std::vector<std::string>& known);

}  // namespace nfbpf::config
