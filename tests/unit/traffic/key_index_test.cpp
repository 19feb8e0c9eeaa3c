// SPDX-License-Identifier: Apache-2.0
#include "traffic/key_index.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace nfbpf::traffic {
namespace {

std::vector<std::byte> key_of(std::uint32_t number, std::size_t size) {
  std::vector<std::byte> key(size);
  std::memcpy(key.data() + size - sizeof(number), &number, sizeof(number));
  return key;
}

TEST(KeyIndex, NumbersKeysInOrderAndFindsThemAgain) {
  for (const std::size_t size : {4U, 12U, 36U}) {
    KeyIndex index(size);
    constexpr std::uint32_t kKeys = 20000;
    for (std::uint32_t i = 0; i < kKeys; ++i) {
      const auto [number, fresh] = index.find_or_add(key_of(i, size));
      ASSERT_TRUE(fresh);
      ASSERT_EQ(number, i);
    }
    for (std::uint32_t i = 0; i < kKeys; ++i) {
      const auto [number, fresh] = index.find_or_add(key_of(i, size));
      ASSERT_FALSE(fresh);
      ASSERT_EQ(number, i);
    }
    EXPECT_EQ(index.size(), kKeys);
  }
}

}  // namespace
}  // namespace nfbpf::traffic
