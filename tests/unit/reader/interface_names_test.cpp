// SPDX-License-Identifier: Apache-2.0
#include "reader/interface_names.h"

#include <gtest/gtest.h>
#include <net/if.h>

#include <algorithm>

namespace nfbpf::reader {
namespace {

TEST(InterfaceNames, KnowsLoopbackAndIsSorted) {
  const auto names = own_interface_names();
  const unsigned loopback = ::if_nametoindex("lo");
  if (loopback == 0) GTEST_SKIP() << "this network namespace has no lo";
  EXPECT_NE(std::ranges::find(names, traffic::EnumName{loopback, "lo"}), names.end());
  EXPECT_TRUE(std::ranges::is_sorted(names, {}, &traffic::EnumName::value));
}

}  // namespace
}  // namespace nfbpf::reader
