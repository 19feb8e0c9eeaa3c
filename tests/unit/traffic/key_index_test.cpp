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

TEST(KeyIndex, FindsManyAsItFindsOne) {
  for (const std::size_t size : {4U, 12U, 36U}) {
    KeyIndex index(size);
    std::vector<std::byte> keys;
    for (std::uint32_t i = 0; i < 1001; ++i) {
      const auto key = key_of(i * 7, size);
      keys.insert(keys.end(), key.begin(), key.end());
      if (i % 3 != 0) index.find_or_add(key);
    }
    std::vector<std::uint32_t> numbers(1001);
    index.find_all(keys, numbers);
    for (std::uint32_t i = 0; i < 1001; ++i)
      ASSERT_EQ(numbers[i], index.find(key_of(i * 7, size)).value_or(KeyIndex::kNone));
  }
  std::vector<std::uint32_t> same(3);
  KeyIndex nothing(0);
  nothing.find_all({}, same);
  EXPECT_EQ(same, std::vector<std::uint32_t>(3, KeyIndex::kNone));
}

}  // namespace
}  // namespace nfbpf::traffic
