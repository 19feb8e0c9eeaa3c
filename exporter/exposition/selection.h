// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "traffic/snapshot.h"

namespace nfbpf::exposition {

// Which rows of a snapshot somebody asks for, and in which order; docs/api.md has the words.
class Selection {
 public:
  static constexpr std::size_t kMostFilter = 256;  // bytes
  static constexpr std::size_t kMostRows = 10'000'000;

  Selection() = default;  // all rows, as they are
  // filter, sort and limit, each once at most; an error names the parameter and what is allowed.
  [[nodiscard]] static Result<Selection> of(
      std::span<const std::pair<std::string, std::string>> parameters);

  // Whether the snapshot has what is to be sorted by. One without tables has nothing to say no to.
  [[nodiscard]] Result<void> check(const traffic::Snapshot& snapshot) const;

  [[nodiscard]] bool sorts() const { return !sort_.empty(); }
  [[nodiscard]] bool is_all() const { return words_.empty() && limit_ == 0 && !sorts(); }

  // For each table the rows to show, in order. `other` is no row that anybody could ask for by
  // name: with a filter or a limit it has none.
  [[nodiscard]] std::vector<std::vector<std::size_t>> rows(
      const std::vector<traffic::Table>& tables) const;

 private:
  std::vector<std::string> words_;  // in lower case
  std::string sort_;                // a label's or a counter's name; empty: as they are
  bool reverse_ = false;
  std::size_t limit_ = 0;  // of a family; 0: none
};

// Whether it is the rest of a map's rows: made by a ledger, not read from a map.
[[nodiscard]] bool is_other(const traffic::Layout& layout);

}  // namespace nfbpf::exposition
