// SPDX-License-Identifier: Apache-2.0
#include "traffic/ledgers.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace nfbpf::traffic {

Ledgers::Ledgers(const std::vector<LedgerPart>& parts, LedgerOptions options) {
  std::vector<std::string> families;
  for (const LedgerPart& part : parts)
    if (std::ranges::find(families, part.layout->family) == families.end())
      families.push_back(part.layout->family);
  for (const std::string& family : families) {
    std::vector<std::size_t> tables;
    std::vector<LedgerPart> own;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].layout->family != family) continue;
      tables.push_back(i);
      own.push_back(parts[i]);
    }
    all_.push_back({family, std::move(tables), Ledger(std::move(own), options)});
  }
}

LiveTables Ledgers::of(const One& one, const LiveTables& all) {
  LiveTables tables;
  for (const std::size_t i : one.tables) tables.add(all[i]);
  return tables;
}

Ledger::Shown Ledgers::show(const LiveTables& live) {
  Ledger::Shown shown;
  for (One& one : all_) {
    auto of_one = one.ledger.show(of(one, live));
    shown.changed |= of_one.changed;
    std::ranges::move(of_one.tables, std::back_inserter(shown.tables));
  }
  return shown;
}

bool Ledgers::rank(const LiveTables& live, double now) {
  bool changed = false;
  for (One& one : all_) changed |= one.ledger.rank(of(one, live), now);
  return changed;
}

void Ledgers::drain(const LiveTables& rows, double now) {
  for (One& one : all_) one.ledger.drain(of(one, rows), now);
}

void Ledgers::set_options(LedgerOptions options) {
  for (One& one : all_) one.ledger.set_options(options);
}

bool Ledgers::is_over() const {
  return std::ranges::any_of(all_, [](const One& one) { return one.ledger.is_over(); });
}

std::vector<FamilyFill> Ledgers::fill() const {
  std::vector<FamilyFill> fill;
  for (const One& one : all_)
    fill.push_back({one.family, one.ledger.series(), one.ledger.row_limit(), one.ledger.is_over()});
  return fill;
}

// Family and bytes, each with its length before it.
std::vector<std::byte> Ledgers::save() const {
  std::vector<std::byte> state;
  const auto put = [&](std::span<const std::byte> bytes) {
    const std::uint64_t size = bytes.size();
    const auto* at = reinterpret_cast<const std::byte*>(&size);
    state.insert(state.end(), at, at + sizeof(size));
    state.insert(state.end(), bytes.begin(), bytes.end());
  };
  for (const One& one : all_) {
    put(std::as_bytes(std::span(one.family.data(), one.family.size())));
    put(one.ledger.save());
  }
  return state;
}

std::size_t Ledgers::state_bytes(std::uint32_t series_limit) const {
  std::size_t bytes = 0;
  for (const One& one : all_)
    bytes += 2 * sizeof(std::uint64_t) + one.family.size() + one.ledger.state_bytes(series_limit);
  return bytes;
}

Result<void> Ledgers::restore(std::span<const std::byte> state) {
  const auto take = [&]() -> Result<std::span<const std::byte>> {
    std::uint64_t size = 0;
    if (state.size() < sizeof(size)) return fail("the saved series are cut off");
    std::memcpy(&size, state.data(), sizeof(size));
    state = state.subspan(sizeof(size));
    if (size > state.size()) return fail("the saved series are cut off");
    const auto front = state.first(size);
    state = state.subspan(size);
    return front;
  };
  while (!state.empty()) {
    const auto family = take();
    if (!family) return tl::unexpected(family.error());
    const auto bytes = take();
    if (!bytes) return tl::unexpected(bytes.error());
    // By map: another configuration may give its family another name.
    for (One& one : all_)
      if (auto ok = one.ledger.restore(*bytes); !ok) return ok;
  }
  return {};
}

}  // namespace nfbpf::traffic
