// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "reader/map_source.h"
#include "traffic/networks.h"

namespace nfbpf::reader {

// A map as it is shown: rows that would be shown alike are one, and addresses have their groups.
class GroupedSource final : public MapSource {
 public:
  GroupedSource(std::unique_ptr<MapSource> map, const traffic::Grouping& grouping)
      : map_(std::move(map)), grouper_(map_->layout(), grouping) {}

  [[nodiscard]] const traffic::Layout& layout() const override { return *grouper_.layout(); }
  [[nodiscard]] Result<traffic::Table> read() override {
    auto table = map_->read();
    if (!table) return table;
    auto folded = traffic::fold_hidden(std::move(*table));
    if (!grouper_.changes_anything()) return folded;
    return grouper_.apply(folded);
  }
  [[nodiscard]] Result<void> clear() override { return map_->clear(); }

 private:
  std::unique_ptr<MapSource> map_;
  traffic::Grouper grouper_;
};

}  // namespace nfbpf::reader
