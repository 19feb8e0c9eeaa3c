// SPDX-License-Identifier: Apache-2.0
#include "http/request_slots.h"

#include <gtest/gtest.h>

#include <thread>

namespace nfbpf::http {
namespace {

using std::chrono::milliseconds;

TEST(RequestSlots, TurnsAwayWhoFindsNoPlace) {
  RequestSlots slots(1, milliseconds(20));
  const RequestSlots::Place first(slots);
  ASSERT_TRUE(first);
  EXPECT_FALSE(RequestSlots::Place(slots));
}

TEST(RequestSlots, APlaceIsFreeAgainAfterwards) {
  RequestSlots slots(1, milliseconds(20));
  { const RequestSlots::Place first(slots); }
  EXPECT_TRUE(RequestSlots::Place(slots));
}

TEST(RequestSlots, WhoWaitsGetsThePlaceOfWhoEnds) {
  RequestSlots slots(1, std::chrono::seconds(30));
  auto first = std::make_unique<RequestSlots::Place>(slots);
  std::thread ending([&] {
    std::this_thread::sleep_for(milliseconds(30));
    first.reset();
  });
  EXPECT_TRUE(RequestSlots::Place(slots));
  ending.join();
}

TEST(RequestSlots, WhoWaitsForItsClientHoldsNoPlace) {
  RequestSlots slots(1, std::chrono::seconds(30));
  RequestSlots::Place stuck(slots);
  stuck.begin_write();
  {
    const RequestSlots::Place next(slots);
    EXPECT_TRUE(next);
    stuck.end_write();
    RequestSlots hurried(0, milliseconds(0));
    EXPECT_TRUE(RequestSlots::Place(hurried));
  }
  // The one that lost its place gives back none.
  EXPECT_TRUE(RequestSlots::Place(slots));
}

TEST(RequestSlots, NoLimitIsNone) {
  RequestSlots slots(0, milliseconds(0));
  const RequestSlots::Place a(slots);
  const RequestSlots::Place b(slots);
  EXPECT_TRUE(a);
  EXPECT_TRUE(b);
}

}  // namespace
}  // namespace nfbpf::http
