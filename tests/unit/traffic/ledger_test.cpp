// SPDX-License-Identifier: Apache-2.0
#include "traffic/ledger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "tables.h"
#include "traffic/families.h"
#include "traffic/ledgers.h"

namespace nfbpf::traffic {
namespace {

// A key of four bytes: direction, two of padding that are shown as a number, and an address.
struct Key {
  std::uint8_t direction = 0;
  std::uint8_t protocol = 0;
  std::uint16_t reserved = 0;
  std::uint32_t address = 0;
  auto operator<=>(const Key&) const = default;
};

std::shared_ptr<const Layout> layout(const std::string& map, FieldKind address) {
  auto layout = std::make_shared<Layout>();
  layout->map = map;
  layout->family = "nfbpf_source_destination";
  layout->key_size = sizeof(Key);
  layout->value_size = 16;
  layout->labels = {{"direction", FieldKind::kEnum, 0, 1, {{1, "in"}, {2, "out"}}},
                    {"protocol", FieldKind::kProtocol, 1, 1, {}},
                    {"source", address, 4, 4, {}}};
  layout->counters = {{"packets", 0, 8}, {"bytes", 8, 8}};
  return layout;
}

const auto kIpv4Layout = layout("nfbpf_ipv4", FieldKind::kIpv4);
const auto kOtherLayout = layout("nfbpf_ipv6", FieldKind::kIpv6);

using Counts = std::array<std::uint64_t, 2>;
using Rows = std::map<Key, Counts>;

Table table_of(const std::shared_ptr<const Layout>& layout, const Rows& rows) {
  Table table(layout, 1024);
  for (const auto& [key, counts] : rows)
    std::ranges::copy(counts, table.append(reinterpret_cast<const std::byte*>(&key)).begin());
  return table;
}

std::vector<Table> tables_of(const std::vector<Rows>& rows) {
  return {table_of(kIpv4Layout, rows[0]), table_of(kOtherLayout, rows[1])};
}

bool is_other(const Table& table) {
  return std::ranges::any_of(table.layout().labels,
                             [](const Field& f) { return f.kind == FieldKind::kOther; });
}

// What a page shows: by table and key, and of `other` by its cell.
using Page = std::map<std::string, Counts>;

Page page_of(const std::vector<Table>& tables) {
  Page page;
  for (const Table& table : tables) {
    for (std::size_t row = 0; row < table.rows(); ++row) {
      const auto key = table.key(row);
      const std::string name = table.layout().map + (is_other(table) ? " other " : " ") +
                               std::string(reinterpret_cast<const char*>(key.data()), key.size());
      const auto values = table.values(row);
      EXPECT_TRUE(page.emplace(name, Counts{values[0], values[1]}).second) << "a series twice";
    }
  }
  return page;
}

// The kernel's side and the machine's: maps of two buffers, what was ever counted, what was saved.
class World {
 public:
  explicit World(std::uint32_t seed) : random_(seed) {
    boot();
    if (seed % 4 != 0) return;
    // Close to where 64 bits end: there sums hold modulo 2^64, and what falls cannot be told.
    near_the_end_ = true;
    deletes_ = false;
    counted_ = buffers_[0][0][{1, 6, 0, 1}] = {~std::uint64_t{0} - 100, ~std::uint64_t{0} - 9000};
  }

  void step() {
    switch (pick(17)) {
      case 0:
        return rank();
      case 1:
        return buffered_ ? drain() : rank();
      case 2:
        return restart();
      case 3:
        options_.series_limit = pick(12) + 1;
        return ledger_->set_options(options_);
      case 4:
        now_ += pick(4) == 0 ? -static_cast<double>(pick(3000)) : pick(1500);
        return;
      case 5:
      case 6:
      case 7:
        return look(pick(2));
      case 8:
        // What is owed is told by its sign, which near the end means nothing.
        if (pick(3) == 0 && !near_the_end_) return swap();
        return !buffered_ && deletes_ ? delete_a_row() : traffic();
      default:
        return traffic();
    }
  }

  void look(std::size_t client) {
    const auto live = live_tables();
    auto shown = ledger_->show(live);
    if (shown.changed) saved_ = ledger_->save();
    const Page page = page_of(shown.tables);
    Counts sum{};
    for (const auto& [name, counts] : page)
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += counts[i];
    if (!deleted_) {
      EXPECT_EQ(sum, counted_) << "all series together are what was counted";
    }
    for (std::size_t i = 0; i < 2 && !near_the_end_; ++i) EXPECT_LE(sum[i], counted_[i]);
    // What one client saw last may be long ago; a series that left meanwhile may have come back.
    for (const auto& [name, counts] : seen_) {
      const auto now = page.find(name);
      const bool other = name.find(" other ") != std::string::npos;
      if (now == page.end()) {
        EXPECT_FALSE(other && counts != Counts{}) << "a cell of other is gone";
        continue;
      }
      for (std::size_t i = 0; i < counts.size() && !near_the_end_; ++i)
        EXPECT_LT(now->second[i] - counts[i], std::uint64_t{1} << 62) << name << " fell";
    }
    seen_ = page;
    (void)client;
  }

 private:
  std::uint32_t pick(std::uint32_t below) { return static_cast<std::uint32_t>(random_() % below); }

  void boot() {
    ledger_.emplace(
        std::vector<LedgerPart>{{kIpv4Layout, buffered_, true}, {kOtherLayout, buffered_, true}},
        options_);
    if (saved_.empty()) return;
    const auto ok = ledger_->restore(saved_);
    ASSERT_TRUE(ok) << ok.error().what;
  }

  void traffic() {
    const std::size_t part = pick(2);
    // Few keys, of which some are much busier.
    const Key key{static_cast<std::uint8_t>(1 + pick(2)), 6, 0, pick(1U << (1 + pick(5)))};
    const std::uint64_t packets = pick(50) == 0 ? (std::uint64_t{1} << 50) + pick(9) : pick(20);
    for (std::size_t i = 0; i < 2; ++i) {
      const std::uint64_t count = packets * (i == 0 ? 1 : 100);
      buffers_[buffered_ ? active_ : 0][part][key][i] += count;
      counted_[i] += count;
    }
  }

  std::vector<Table> live_tables() const {
    std::vector<Rows> rows = buffers_[active_];
    if (!drained_ || !buffered_)
      for (std::size_t part = 0; part < 2; ++part)
        for (const auto& [key, counts] : buffers_[1 - active_][part])
          for (std::size_t i = 0; i < 2; ++i) rows[part][key][i] += counts[i];
    return tables_of(rows);
  }

  void rank() {
    if (ledger_->rank(live_tables(), now_)) {
      saved_ = ledger_->save();
      // A row may have left and come back between two looks; then it is another series.
      forget_who_left();
    }
  }

  // What rank() took away must not be compared with what it let in later.
  void forget_who_left() {
    const Page page = page_of(ledger_->show(live_tables()).tables);
    saved_ = ledger_->save();
    std::erase_if(seen_, [&](const auto& one) { return !page.contains(one.first); });
  }

  // In steps, so that a restart may come between any two.
  void drain() {
    active_ = 1 - active_;
    drained_ = false;
    if (pick(6) == 0) return;
    finish_drain();
  }
  void finish_drain() {
    ledger_->drain(tables_of(buffers_[1 - active_]), now_);
    if (pick(6) == 0) return boot();  // killed before it was saved
    saved_ = ledger_->save();
    drained_ = true;  // saved with it
    if (pick(6) == 0) boot();
    buffers_[1 - active_] = std::vector<Rows>(2);
    if (pick(2) == 0) look(0);
  }

  void restart() {
    boot();
    if (buffered_ && !drained_) finish_drain();
  }

  // As a program without buffers may: with the row goes what it counted.
  void delete_a_row() {
    for (std::size_t part = 0; part < 2; ++part) {
      Rows& rows = buffers_[0][part];
      if (rows.empty()) continue;
      const auto row = std::next(rows.begin(), pick(static_cast<std::uint32_t>(rows.size())));
      const std::string key(reinterpret_cast<const char*>(&row->first), sizeof(Key));
      seen_.erase((part == 0 ? kIpv4Layout : kOtherLayout)->map + " " + key);
      rows.erase(row);
      deleted_ = true;
    }
  }

  // A program without buffers, which counts into the first of them whatever the word says; or back.
  void swap() {
    // What is deleted between the last look before and the first one after it, nobody can tell.
    if (deletes_) look(0);
    buffered_ = !buffered_;
    if (buffered_) drained_ = false;
    boot();
    if (deletes_) look(0);
  }

  std::mt19937 random_;
  LedgerOptions options_{5, 900};
  std::optional<Ledger> ledger_;
  std::vector<std::byte> saved_;
  std::array<std::vector<Rows>, 2> buffers_{std::vector<Rows>(2), std::vector<Rows>(2)};
  std::size_t active_ = 0;
  bool drained_ = true;
  bool buffered_ = true;
  bool deletes_ = random_() % 2 == 0, deleted_ = false;
  Counts counted_{};
  Page seen_;
  double now_ = 1000;
  bool near_the_end_ = false;
};

TEST(Ledger, NoSeriesFallsAndTheSumIsWhatWasCounted) {
  for (std::uint32_t seed = 0; seed < 10'000 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("history " + std::to_string(seed));
    World world(seed);
    for (int i = 0; i < 80; ++i) world.step();
    world.look(0);
  }
}

Rows rows(std::initializer_list<std::pair<std::uint32_t, std::uint64_t>> list) {
  Rows rows;
  for (const auto& [address, count] : list) rows[{1, 6, 0, address}] = {count, count * 100};
  return rows;
}

Ledger ledger(std::uint32_t limit) {
  return {{{kIpv4Layout, true}, {kOtherLayout, true}}, {limit, 900}};
}

std::uint64_t packets(const std::vector<Table>& tables, std::uint32_t address) {
  for (const Table& table : tables) {
    if (is_other(table)) continue;
    for (std::size_t row = 0; row < table.rows(); ++row) {
      Key key;
      std::memcpy(&key, table.key(row).data(), sizeof(key));
      if (key.address == address) return table.values(row)[0];
    }
  }
  return ~std::uint64_t{0};
}

std::uint64_t other_packets(const std::vector<Table>& tables) {
  std::uint64_t sum = 0;
  for (const Table& table : tables)
    if (is_other(table))
      for (std::size_t row = 0; row < table.rows(); ++row) sum += table.values(row)[0];
  return sum;
}

TEST(Ledger, BelowTheLimitEveryRowIsWholeFromItsFirstCount) {
  auto l = ledger(3);
  const auto shown = l.show(tables_of({rows({{1, 4}, {2, 5}}), {}}));
  EXPECT_TRUE(shown.changed);
  EXPECT_EQ(packets(shown.tables, 1), 4U);
  EXPECT_EQ(packets(shown.tables, 2), 5U);
  EXPECT_EQ(shown.tables.size(), 2U) << "there is no other";
  EXPECT_FALSE(l.show(tables_of({rows({{1, 4}, {2, 5}}), {}})).changed);
}

TEST(Ledger, AboveTheLimitNewRowsAreInOtherUntilTheyAreRankedIn) {
  auto l = ledger(2);
  (void)l.show(tables_of({rows({{1, 10}, {2, 20}}), {}}));
  const auto live = tables_of({rows({{1, 10}, {2, 20}, {3, 1000}}), {}});
  auto shown = l.show(live);
  EXPECT_EQ(other_packets(shown.tables), 1000U);
  EXPECT_TRUE(l.is_over());
  EXPECT_TRUE(l.rank(live, 1));
  shown = l.show(live);
  EXPECT_EQ(packets(shown.tables, 3), 0U) << "begins at 0";
  EXPECT_EQ(packets(shown.tables, 2), 20U);
  EXPECT_EQ(packets(shown.tables, 1), ~std::uint64_t{0}) << "left";
  EXPECT_EQ(other_packets(shown.tables), 1010U);
  shown = l.show(tables_of({rows({{1, 11}, {2, 20}, {3, 1005}}), {}}));
  EXPECT_EQ(packets(shown.tables, 3), 5U);
  EXPECT_EQ(other_packets(shown.tables), 1011U);
}

TEST(Ledger, ARowThatIsALittleBusierDoesNotTakeAPlace) {
  auto l = ledger(1);
  (void)l.show(tables_of({rows({{1, 10}}), {}}));
  const auto live = tables_of({rows({{1, 10}, {2, 19}}), {}});
  (void)l.show(live);
  (void)l.rank(live, 1);
  EXPECT_EQ(packets(l.show(live).tables, 1), 10U);
}

TEST(Ledger, IdleSeriesAreFoldedIntoOther) {
  auto l = ledger(5);
  (void)l.show(tables_of({rows({{1, 10}, {2, 20}}), {}}));
  l.drain(tables_of({rows({{1, 10}, {2, 20}}), {}}), 100);
  const auto live = tables_of({rows({{2, 1}}), {}});
  (void)l.rank(live, 999);
  EXPECT_EQ(packets(l.show(live).tables, 1), 10U);
  (void)l.rank(live, 1000);
  const auto shown = l.show(live);
  EXPECT_EQ(packets(shown.tables, 1), ~std::uint64_t{0});
  EXPECT_EQ(packets(shown.tables, 2), 21U);
  EXPECT_EQ(other_packets(shown.tables), 10U);
}

// Rows that vanish from a map that is not ours to empty.
TEST(Ledger, OtherDoesNotFallWhenOthersTakeRowsOut) {
  Ledger l({{kIpv4Layout, false}}, {1, 900});
  const auto show = [&](const Rows& of) {
    const std::vector<Table> live{table_of(kIpv4Layout, of)};
    return l.show(live).tables;
  };
  (void)show(rows({{1, 100}}));
  EXPECT_EQ(other_packets(show(rows({{1, 100}, {2, 20}, {3, 30}}))), 50U);
  EXPECT_EQ(other_packets(show(rows({{1, 100}, {3, 31}}))), 50U);
  EXPECT_EQ(other_packets(show(rows({{1, 100}, {3, 32}}))), 51U);
  const auto shown = show(rows({{3, 33}}));
  EXPECT_EQ(packets(shown, 1), ~std::uint64_t{0});
  EXPECT_EQ(other_packets(shown), 52U);
}

TEST(Ledger, WhatWasDrainedOutlivesTheBuffer) {
  Ledger buffer({{kIpv4Layout, true}}, {5, 900});
  const std::vector<Table> rows_of_it{table_of(kIpv4Layout, rows({{1, 100}}))};
  (void)buffer.show(rows_of_it);
  buffer.drain(rows_of_it, 1);
  Ledger map({{kIpv4Layout, false}}, {5, 900});
  ASSERT_TRUE(map.restore(buffer.save()));
  const std::vector<Table> empty{table_of(kIpv4Layout, {})};
  EXPECT_EQ(packets(map.show(empty).tables, 1), 100U);
  (void)map.rank(empty, 2000);
  EXPECT_EQ(other_packets(map.show(empty).tables), 100U);
}

TEST(Ledger, WhatWasDrainedOfOtherOutlivesTheBufferOnce) {
  Ledger buffer({{kIpv4Layout, true}}, {1, 900});
  const std::vector<Table> rows_of_it{table_of(kIpv4Layout, rows({{1, 100}, {2, 20}}))};
  EXPECT_EQ(other_packets(buffer.show(rows_of_it).tables), 120U);
  buffer.drain(rows_of_it, 1);
  Ledger map({{kIpv4Layout, false}}, {1, 900});
  ASSERT_TRUE(map.restore(buffer.save()));
  const std::vector<Table> empty{table_of(kIpv4Layout, {})};
  EXPECT_EQ(other_packets(map.show(empty).tables), 120U);
  EXPECT_EQ(other_packets(map.show(rows_of_it).tables), 240U);
  // And back, after which the rows are drained.
  Ledger again({{kIpv4Layout, true}}, {1, 900});
  ASSERT_TRUE(again.restore(map.save()));
  again.drain(rows_of_it, 2);
  Ledger last({{kIpv4Layout, false}}, {1, 900});
  ASSERT_TRUE(last.restore(again.save()));
  EXPECT_EQ(other_packets(last.show(empty).tables), 240U);
}

// The built-in keys have their labels in another order each: see abi/nfbpf.h.
TEST(Ledger, OtherOfBothFamiliesIsOneAndWhole) {
  const auto ipv4 = std::make_shared<const Layout>(test::ipv4_layout());
  const auto ipv6 = std::make_shared<const Layout>(test::ipv6_layout());
  Ledger l({{ipv4, true}, {ipv6, true}}, {2, 900});
  std::vector<Table> live{Table(ipv4, 1024), Table(ipv6, 1024)};
  for (const char* source : {"10.0.0.1", "10.0.0.2", "10.0.0.3"})
    test::add(live[0], test::ipv4_key(2, 6, source, "192.0.2.1"), {1, 100});
  for (const char* source : {"fd00::1", "fd00::2"})
    test::add(live[1], test::ipv6_key(2, 17, source, "fd00::9"), {10, 1000});
  const auto shown = l.show(live);
  const auto set = FamilySet::build(shown.tables);
  EXPECT_TRUE(set.rejected().empty()) << set.rejected()[0].why;
  std::uint64_t sum = 0;
  std::size_t series = 0;
  for (const Part& part : set.families()[1].parts) {
    for (std::size_t row = 0; row < part.view->table->rows(); ++row, ++series)
      sum += part.view->table->values(row)[part.index];
  }
  EXPECT_EQ(sum, 23U);
  EXPECT_EQ(series, 1U) << "one cell, of the direction that both have";
}

TEST(Ledger, GaugesBeforeAHistogramAreLeftOutOfOther) {
  auto layout = std::make_shared<Layout>(*kIpv4Layout);
  layout->counters = {{"open", 0, 8, Unit::kCount, MetricType::kGauge},
                      {"", 8, 8, Unit::kCount, MetricType::kHistogram},
                      {"", 16, 8, Unit::kCount, MetricType::kHistogram},
                      {"", 24, 8, Unit::kCount, MetricType::kHistogram}};
  layout->histograms = {{"size", 1, 3, {10}}};
  Ledger l({{layout, true}}, {1, 900});
  std::vector<Table> live{Table(layout, 1024)};
  for (std::uint32_t i = 0; i < 2; ++i) {
    const Key key{1, 6, 0, i};
    std::ranges::copy(std::array<std::uint64_t, 4>{7, 1, 2, 30},
                      live[0].append(reinterpret_cast<const std::byte*>(&key)).begin());
  }
  const auto shown = l.show(live);
  const Table& other = shown.tables.back();
  ASSERT_TRUE(is_other(other));
  EXPECT_EQ(other.layout().histograms[0].first_slot, 0U);
  EXPECT_EQ(other.layout().histograms[0].sum, 2U);
  EXPECT_EQ(other.values(0)[2], 60U);
}

TEST(Ledger, OtherReadsWhatNoRowCan) {
  auto layout = std::make_shared<Layout>(*kIpv4Layout);
  layout->labels = {{"comm", FieldKind::kString, 0, 8, {}}};
  Ledger l({{layout, true}}, {1, 900});
  const std::vector<Table> live{table_of(layout, rows({{1, 1}, {2, 2}}))};
  const auto shown = l.show(live);
  EXPECT_EQ(shown.tables.back().layout().labels[0].names[0].name, "other....");
}

TEST(Ledger, OtherOfEnumsAloneIsNoRowOfTheirs) {
  auto layout = std::make_shared<Layout>(*kIpv4Layout);
  layout->labels = {{"what", FieldKind::kEnum, 4, 4, {{1, "other"}}}};
  Ledger l({{layout, true}}, {1, 900});
  const std::vector<Table> live{table_of(layout, rows({{1, 1}, {2, 2}}))};
  const auto shown = l.show(live);
  EXPECT_EQ(shown.tables.back().layout().labels[0].names[0].name, "(other)");
  EXPECT_TRUE(FamilySet::build(shown.tables).rejected().empty());
  EXPECT_EQ(other_packets(shown.tables), 3U);
}

TEST(Ledger, CellsAreBounded) {
  auto layout = std::make_shared<Layout>(*kIpv4Layout);
  layout->labels = {{"what", FieldKind::kEnum, 4, 4, {}}, {"source", FieldKind::kIpv4, 4, 4, {}}};
  Ledger l({{layout, true}}, {1, 900});
  Rows many;
  for (std::uint32_t i = 1; i <= 5000; ++i) many[{0, 0, 0, i}] = {1, 1};
  const std::vector<Table> live{table_of(layout, many)};
  const auto shown = l.show(live);
  EXPECT_LE(shown.tables.back().rows(), 1025U);
  EXPECT_EQ(other_packets(shown.tables), 5000U);
}

TEST(Ledger, WhoLeftStaysAwayForAWhile) {
  auto l = ledger(1);
  const auto quiet = tables_of({rows({{1, 10}}), {}});
  (void)l.show(quiet);
  const auto loud = tables_of({rows({{1, 10}, {2, 100}}), {}});
  (void)l.show(loud);
  (void)l.rank(loud, 10);
  const auto back = tables_of({rows({{1, 1000}, {2, 100}}), {}});
  (void)l.rank(back, 20);
  EXPECT_EQ(packets(l.show(back).tables, 1), ~std::uint64_t{0});
  (void)l.rank(back, 311);
  EXPECT_EQ(packets(l.show(back).tables, 1), 0U);
}

// As a map of connections has them, which the program deletes when they end.
TEST(Ledger, WhoVanishesIsForgottenAndMayComeBackAtOnce) {
  Ledger l({{kIpv4Layout, false}}, {5, 900});
  const auto show = [&](const Rows& of) {
    const std::vector<Table> live{table_of(kIpv4Layout, of)};
    return l.show(live).tables;
  };
  for (std::uint32_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(packets(show(rows({{i, 1}})), i), 1U);
    ASSERT_LE(l.save().size(), l.state_bytes(5)) << i;
  }
  EXPECT_EQ(packets(show(rows({{7, 4}})), 7), 4U) << "another connection, and none of it was shown";
  EXPECT_FALSE(l.is_over());
}

TEST(Ledger, NoMoreLeaveInFiveMinutesThanThereArePlaces) {
  Ledger l({{kIpv4Layout, true}}, {100, 60});
  const std::vector<Table> empty{table_of(kIpv4Layout, {})};
  for (std::uint32_t minute = 0; minute < 60; ++minute) {
    Rows busy;
    for (std::uint32_t i = 0; i < 100; ++i) busy[{1, 6, 0, minute * 100 + i}] = {1, 100};
    const std::vector<Table> live{table_of(kIpv4Layout, busy)};
    (void)l.show(live);
    l.drain(live, minute * 60.0);
    (void)l.rank(empty, minute * 60.0);
    ASSERT_LE(l.save().size(), l.state_bytes(100)) << "minute " << minute;
    const auto shown = l.show(empty).tables;
    std::uint64_t sum = 0;
    for (const auto& [name, counts] : page_of(shown)) sum += counts[0];
    EXPECT_EQ(sum, (minute + 1) * 100);
  }
  (void)l.rank(empty, 10'000);
  EXPECT_EQ(l.series(), 0U) << "all are idle, and go in the end";
}

TEST(Ledger, OtherIsOfTheSameFamiliesAsTheRows) {
  auto l = ledger(1);
  (void)l.show(tables_of({rows({{1, 10}}), {}}));
  const auto shown = l.show(tables_of({rows({{1, 10}, {2, 20}}), rows({{3, 30}})}));
  const auto set = FamilySet::build(shown.tables);
  EXPECT_TRUE(set.rejected().empty()) << set.rejected()[0].why;
  ASSERT_EQ(set.families().size(), 2U);
  EXPECT_EQ(set.families()[1].name, "nfbpf_source_destination_packets_total");
}

TEST(Ledger, AStateOfALayoutWithMoreCountersIsCarriedOver) {
  auto l = ledger(2);
  (void)l.show(tables_of({rows({{1, 10}}), {}}));
  l.drain(tables_of({rows({{1, 10}}), {}}), 1);
  auto grown = std::make_shared<Layout>(*kIpv4Layout);
  grown->counters.insert(grown->counters.begin(), {"large_packets", 0, 8});
  Ledger next({{grown, true}}, {2, 900});
  const auto ok = next.restore(l.save());
  ASSERT_TRUE(ok) << ok.error().what;
  const std::vector<Table> live{Table(grown, 1024)};
  const auto shown = next.show(live);
  ASSERT_EQ(shown.tables[0].rows(), 1U);
  EXPECT_EQ(shown.tables[0].values(0)[0], 0U);
  EXPECT_EQ(shown.tables[0].values(0)[1], 10U);
  EXPECT_EQ(shown.tables[0].values(0)[2], 1000U);
}

TEST(Ledger, AStateOfOtherLabelsGoesToOther) {
  auto l = ledger(2);
  (void)l.show(tables_of({rows({{1, 10}}), {}}));
  l.drain(tables_of({rows({{1, 10}}), {}}), 1);
  auto narrow = std::make_shared<Layout>(*kIpv4Layout);
  narrow->labels.pop_back();
  Ledger next({{narrow, true}}, {2, 900});
  ASSERT_TRUE(next.restore(l.save()));
  const std::vector<Table> live{Table(narrow, 1024)};
  EXPECT_EQ(other_packets(next.show(live).tables), 10U);
}

TEST(Ledger, DamagedStatesAreRefusedAndChangeNothing) {
  auto l = ledger(2);
  const auto live = tables_of({rows({{1, 10}, {2, 20}, {3, 30}}), {}});
  (void)l.show(live);
  (void)l.rank(live, 5);
  const auto good = l.save();
  const Page before = page_of(l.show(live).tables);
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_FALSE(l.restore(std::span(good).first(length))) << length;
  EXPECT_EQ(page_of(l.show(live).tables), before);
  std::mt19937 random(7);
  for (int i = 0; i < 3'000; ++i) {
    auto bad = good;
    for (std::size_t n = 1 + random() % 3; n > 0; --n)
      bad[random() % bad.size()] = std::byte(random());
    auto victim = ledger(2);
    (void)victim.restore(bad);  // accepted or refused, and no more than that
    (void)victim.show(live);
  }
  auto newer = good;
  newer[4] = std::byte{9};
  EXPECT_EQ(l.restore(newer).error().what,
            "the saved series are of version 9, this exporter reads versions 1 to 2");
}

TEST(Ledger, ARowThatIsGoneOrAnotherOwesNothing) {
  auto l = ledger(1);
  (void)l.show(tables_of({rows({{1, 10}}), {}}));
  const auto loud = tables_of({rows({{1, 10}, {2, 100}}), {}});
  (void)l.show(loud);
  (void)l.rank(loud, 10);
  EXPECT_EQ(packets(l.show(loud).tables, 2), 0U);
  auto made_anew = l;
  const auto another = tables_of({rows({{1, 10}, {2, 7}}), {}});
  EXPECT_EQ(packets(made_anew.show(another).tables, 2), 0U);
  EXPECT_EQ(packets(made_anew.show(tables_of({rows({{1, 10}, {2, 9}}), {}})).tables, 2), 2U);
  const auto gone = l.show(tables_of({rows({{1, 10}}), {}}));
  EXPECT_TRUE(gone.changed);
  EXPECT_EQ(packets(gone.tables, 2), 0U) << "no 2^64 minus something";
  EXPECT_EQ(packets(l.show(tables_of({rows({{1, 10}, {2, 5}}), {}})).tables, 2), 5U);
}

// Of two maps that read as one, a program that knows no buffers deletes what one of them has.
TEST(Ledger, HalfARowThatVanishesLeavesNoneThatCountsTwice) {
  Ledger l({{kIpv4Layout, false, true}}, {1, 900});
  const auto live = [&](const Rows& of) { return std::vector<Table>{table_of(kIpv4Layout, of)}; };
  (void)l.show(live(rows({{1, 10}})));
  const auto loud = live(rows({{1, 10}, {2, 100}}));
  (void)l.show(loud);
  (void)l.rank(loud, 10);
  EXPECT_EQ(other_packets(l.show(loud).tables), 110U);
  const auto half = l.show(live(rows({{1, 10}, {2, 60}}))).tables;
  EXPECT_EQ(other_packets(half), 110U);
  EXPECT_EQ(packets(half, 2), 0U);
  EXPECT_EQ(packets(l.show(live(rows({{1, 10}, {2, 65}}))).tables, 2), 5U);
}

TEST(Ledger, WhatWasDrainedInPartIsStillOwed) {
  auto l = ledger(1);
  (void)l.show(tables_of({rows({{1, 10}}), {}}));
  // 60 in one buffer and 40 in the other, when it enters; then the first of them is drained.
  const auto loud = tables_of({rows({{1, 10}, {2, 100}}), {}});
  (void)l.show(loud);
  (void)l.rank(loud, 10);
  l.drain(tables_of({rows({{2, 60}}), {}}), 11);
  EXPECT_EQ(packets(l.show(tables_of({rows({{1, 10}, {2, 43}}), {}})).tables, 2), 3U);
}

TEST(Ledger, WhoLeftStaysAwayOverARestart) {
  auto l = ledger(1);
  (void)l.show(tables_of({rows({{1, 10}}), {}}));
  const auto loud = tables_of({rows({{1, 10}, {2, 100}}), {}});
  (void)l.show(loud);
  (void)l.rank(loud, 10);
  auto next = ledger(1);
  ASSERT_TRUE(next.restore(l.save()));
  const auto back = tables_of({rows({{1, 1000}, {2, 100}}), {}});
  (void)next.rank(back, 20);
  EXPECT_EQ(packets(next.show(back).tables, 1), ~std::uint64_t{0});
}

TEST(Ledger, WhatOthersMayTakeOutIsSavedAsItMoves) {
  const std::vector<LedgerPart> parts{{kIpv4Layout, false}, {kOtherLayout, false}};
  Ledger l(parts, {1, 900});
  (void)l.show(tables_of({rows({{1, 10}, {2, 20}}), {}}));
  const auto shown = l.show(tables_of({rows({{1, 10}, {2, 50}}), {}}));
  EXPECT_TRUE(shown.changed);
  EXPECT_EQ(other_packets(shown.tables), 60U);
  Ledger next(parts, {1, 900});
  ASSERT_TRUE(next.restore(l.save()));
  EXPECT_EQ(other_packets(next.show(tables_of({{}, {}})).tables), 60U);
}

TEST(Ledger, AStateOfVersion1IsRead) {
  // Of one map and a limit of 1: 2 has taken the place of 1, and owes 100.
  constexpr std::string_view kState =
      "666e626c010000000101000000000000000a0000006e666270665f697076340800000003000000000000000900"
      "0000646972656374696f6e0500000000010000000000000000000000010800000070726f746f636f6c03010000"
      "000100000000000000000000000006000000736f75726365000400000004000000000000000000000000020000"
      "0000000000070000007061636b6574730005000000627974657300010000000000000001060000020000009cff"
      "ffffffffffffd8f0ffffffffffff0000000000000000000000000000244001000000000000000164000000000"
      "00000102700000000000000000000000000000000000000000000";
  std::vector<std::byte> state;
  for (std::size_t i = 0; i < kState.size(); i += 2)
    state.push_back(std::byte(std::stoi(std::string(kState.substr(i, 2)), nullptr, 16)));
  Ledger l({{kIpv4Layout, true}}, {1, 900});
  const auto ok = l.restore(state);
  ASSERT_TRUE(ok) << ok.error().what;
  const std::vector<Table> live{table_of(kIpv4Layout, rows({{1, 10}, {2, 120}}))};
  const auto shown = l.show(live);
  EXPECT_EQ(packets(shown.tables, 2), 20U);
  EXPECT_EQ(other_packets(shown.tables), 110U);
  const std::vector<Table> none{Table(kIpv4Layout, 1024)};
  EXPECT_EQ(packets(l.show(none).tables, 2), 0U);
}

TEST(Ledger, SlotsOfAHistogramGoWhereTheirBoundsAre) {
  auto was = std::make_shared<Layout>(*kIpv4Layout);
  const auto slot = [](std::uint32_t offset) {
    return Counter{"", offset, 8, Unit::kCount, MetricType::kHistogram};
  };
  was->counters = {slot(0), slot(8), slot(16), slot(24)};
  was->histograms = {{"latency", 0, 3, {10, 100}}};
  auto is = std::make_shared<Layout>(*was);
  is->counters.push_back(slot(32));
  is->histograms = {{"latency", 0, 4, {50, 100, 1000}}};
  Ledger l({{was, true}}, {10, 900});
  Table rows(was, 16);
  const Key key{1, 6, 0, 1};
  std::ranges::copy(std::array<std::uint64_t, 4>{1, 2, 4, 99},
                    rows.append(reinterpret_cast<const std::byte*>(&key)).begin());
  const std::vector<Table> live{rows};
  (void)l.show(live);
  l.drain(live, 1);
  Ledger next({{is, true}}, {10, 900});
  ASSERT_TRUE(next.restore(l.save()));
  const std::vector<Table> none{Table(is, 16)};
  const auto shown = next.show(none);
  const auto values = shown.tables[0].values(0);
  EXPECT_EQ(std::vector(values.begin(), values.end()),
            (std::vector<std::uint64_t>{1, 2, 0, 4, 99}));
}

TEST(Ledgers, AFamilyOfAnotherNameGoesOn) {
  Ledgers was({{kIpv4Layout, true}}, {2, 900});
  const std::vector<Table> live{table_of(kIpv4Layout, rows({{1, 10}}))};
  (void)was.show(live);
  was.drain(live, 1);
  auto named = std::make_shared<Layout>(*kIpv4Layout);
  named->family = "talk";
  Ledgers is({{named, true}}, {2, 900});
  ASSERT_TRUE(is.restore(was.save()));
  const std::vector<Table> none{Table(named, 1024)};
  EXPECT_EQ(packets(is.show(none).tables, 1), 10U);
}

TEST(Ledger, AStateOfFullLedgersIsNoLongerThanItSays) {
  constexpr std::uint32_t kLimit = 40;
  auto l = ledger(kLimit);
  for (int round = 0; round < 5; ++round) {
    Rows busy;
    for (std::uint32_t i = 0; i < 200; ++i) {
      const auto direction = static_cast<std::uint8_t>(1 + i % 2);
      busy[{direction, 6, 0, i}] = {1 + (i * 7919 + 101 * static_cast<unsigned>(round)) % 997, 0};
      busy[{direction, 6, 0, i}][1] = busy[{direction, 6, 0, i}][0] * 1000 * (1U << (4 * round));
    }
    const auto live = tables_of({busy, busy});
    (void)l.show(live);
    (void)l.rank(live, 10 + round);
    l.drain(live, 10 + round);
    EXPECT_LE(l.save().size(), l.state_bytes(kLimit));
  }
}

}  // namespace
}  // namespace nfbpf::traffic
