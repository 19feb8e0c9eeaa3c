// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "traffic/ledger.h"
#include "traffic/snapshot.h"

namespace nfbpf::traffic {

// The ledgers of all tables that are read: one for each family name. Takes and gives tables in the
// order of its parts.
class Ledgers {
 public:
  Ledgers(const std::vector<LedgerPart>& parts, LedgerOptions options);

  [[nodiscard]] Ledger::Shown show(const LiveTables& live);
  bool rank(const LiveTables& live, double now);
  void drain(const LiveTables& rows, double now);
  void set_options(LedgerOptions options);

  // Whether rank() has anything to choose.
  [[nodiscard]] bool is_over() const;
  [[nodiscard]] std::vector<FamilyFill> fill() const;

  // As those of a ledger; maps that are not there any more are let go. restore() is for new ones.
  [[nodiscard]] std::vector<std::byte> save() const;
  [[nodiscard]] Result<void> restore(std::span<const std::byte> state);
  [[nodiscard]] std::size_t state_bytes(std::uint32_t series_limit) const;

 private:
  struct One {
    std::string family;
    std::vector<std::size_t> tables;  // of all, those that are its parts
    Ledger ledger;
  };
  [[nodiscard]] static LiveTables of(const One& one, const LiveTables& all);

  std::vector<One> all_;
};

}  // namespace nfbpf::traffic
