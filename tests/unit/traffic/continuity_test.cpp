// SPDX-License-Identifier: Apache-2.0
#include "traffic/continuity.h"

#include <gtest/gtest.h>

#include <memory>

namespace nfbpf::traffic {
namespace {

std::shared_ptr<const Layout> totals_layout() {
  Layout layout;
  layout.map = layout.family = "nfbpf_hook";
  layout.key_size = 1;
  layout.labels = {{"hook", FieldKind::kUint, 0, 1, {}, {}}};
  layout.counters = {{"packets", 0, 8}, {"bytes", 8, 8}};
  return std::make_shared<const Layout>(layout);
}

Table totals(std::uint64_t packets, std::uint64_t bytes, std::byte hook = std::byte{1}) {
  Table table(totals_layout(), 0);
  const auto values = table.append(&hook);
  values[0] = packets;
  values[1] = bytes;
  return table;
}

TEST(Continuity, NothingIsBlindBeforeItEverCounted) {
  Continuity continuity;
  continuity.look(100, {false, {}});
  EXPECT_EQ(continuity.blind_seconds(200), 0);
  continuity.look(200, {true, 150.0});
  EXPECT_EQ(continuity.blind_seconds(300), 0);
}

TEST(Continuity, BlindFromWhenItWasLastSeenUntilItCountsAgain) {
  Continuity continuity;
  continuity.look(100, {true, 50.0});
  continuity.look(101, {true, 50.0});
  continuity.look(102, {false, {}});
  EXPECT_EQ(continuity.blind_seconds(103), 2) << "grows while it lasts";
  continuity.look(110, {true, 107.5});
  EXPECT_EQ(continuity.blind_seconds(111), 6.5);
  continuity.look(111, {true, 107.5});
  EXPECT_EQ(continuity.blind_seconds(112), 6.5);
}

TEST(Continuity, SeesAGapBetweenTwoLooks) {
  Continuity continuity;
  continuity.look(100, {true, 50.0});
  continuity.look(101, {true, 100.25});
  EXPECT_EQ(continuity.blind_seconds(101), 0.25);
}

TEST(Continuity, ADatapathThatTellsNoTimeIsBlindWhileItWasSeenToBe) {
  Continuity continuity;
  continuity.look(100, {true, {}});
  continuity.look(160, {true, {}});
  EXPECT_EQ(continuity.blind_seconds(160), 0) << "we were away, it may have counted";
  continuity.look(161, {false, {}});
  continuity.look(165, {true, {}});
  EXPECT_EQ(continuity.blind_seconds(165), 5);
}

TEST(Continuity, TotalsGoOnWithTheNextModule) {
  Continuity continuity;
  EXPECT_EQ(continuity.carry_on(totals(10, 100), 5.0).values(0)[0], 10U);
  const auto next = continuity.carry_on(totals(3, 200), 9.0);
  EXPECT_EQ(next.values(0)[0], 13U);
  EXPECT_EQ(next.values(0)[1], 300U) << "higher than before, of another module all the same";
  EXPECT_EQ(continuity.carry_on(totals(4, 201), 9.0).values(0)[0], 14U);
}

TEST(Continuity, ATotalThatFellIsOfANewModuleEvenIfItTellsNoTime) {
  Continuity continuity;
  (void)continuity.carry_on(totals(10, 100), {});
  EXPECT_EQ(continuity.carry_on(totals(3, 20), {}).values(0)[0], 13U);
}

// As when no file can be opened for a moment.
TEST(Continuity, ATimeThatCannotBeReadTellsNothing) {
  Continuity continuity;
  EXPECT_EQ(continuity.carry_on(totals(10, 100), {}).values(0)[0], 10U);
  EXPECT_EQ(continuity.carry_on(totals(11, 110), 5.0).values(0)[0], 11U);
  EXPECT_EQ(continuity.carry_on(totals(12, 120), {}).values(0)[0], 12U);
  EXPECT_EQ(continuity.carry_on(totals(13, 130), 5.0).values(0)[0], 13U);
  // Nor does it hide a module that is another, which is met once.
  EXPECT_EQ(continuity.carry_on(totals(1, 200), {}).values(0)[0], 14U);
  EXPECT_EQ(continuity.carry_on(totals(2, 201), 9.0).values(0)[1], 331U);
  EXPECT_EQ(continuity.carry_on(totals(3, 202), 9.0).values(0)[0], 16U);
  EXPECT_EQ(continuity.carry_on(totals(3, 202), 11.0).values(0)[0], 19U);
}

TEST(Continuity, AHookThatIsAwayForAWhileKeepsItsTotals) {
  Continuity continuity;
  (void)continuity.carry_on(totals(10, 100), 1.0);
  (void)continuity.carry_on(totals(7, 70, std::byte{2}), 2.0);
  EXPECT_EQ(continuity.carry_on(totals(1, 1), 3.0).values(0)[0], 11U);
}

TEST(Continuity, OutlivesTheProcess) {
  Continuity before;
  before.look(100, {true, 50.0});
  before.look(110, {false, {}});
  (void)before.carry_on(totals(10, 100), 50.0);
  Continuity after;
  ASSERT_TRUE(after.restore(before.save()));
  EXPECT_EQ(after.blind_seconds(110), 10);
  after.look(120, {true, 115.0});
  EXPECT_EQ(after.blind_seconds(120), 15);
  EXPECT_EQ(after.carry_on(totals(1, 1), 115.0).values(0)[0], 11U);
}

TEST(Continuity, AllHooksFitWhereTheyAreKept) {
  Continuity continuity;
  Layout layout = *totals_layout();
  layout.key_size = 2;
  for (int i = 2; i < 5; ++i) layout.counters.push_back({"c" + std::to_string(i), 0, 8});
  Table table(std::make_shared<const Layout>(layout), 0);
  for (unsigned hook = 0; hook < 10; ++hook) {
    const std::byte key[2] = {std::byte(hook), {}};
    (void)table.append(key);
  }
  (void)continuity.carry_on(std::move(table), 1.0);
  EXPECT_LE(continuity.save().size(), Continuity::kMostBytes);
}

TEST(Continuity, BytesThatAreNoStateChangeNothing) {
  Continuity continuity;
  continuity.look(100, {true, {}});
  continuity.look(101, {false, {}});
  (void)continuity.carry_on(totals(10, 100), 50.0);
  const auto good = continuity.save();
  for (std::size_t size = 0; size < good.size(); ++size) {
    Continuity other;
    EXPECT_FALSE(other.restore(std::span(good).first(size))) << size;
    EXPECT_EQ(other.blind_seconds(200), 0);
  }
}

}  // namespace
}  // namespace nfbpf::traffic
