// SPDX-License-Identifier: Apache-2.0
#include "traffic/state_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace nfbpf::traffic {
namespace {

std::vector<std::byte> bytes(const std::string& text) {
  const auto all = std::as_bytes(std::span(text.data(), text.size()));
  return {all.begin(), all.end()};
}

// Aligned as a mapped page is.
struct Memory {
  alignas(64) std::array<std::byte, 1024> room{};
};

std::string text_of(const StateStore::Saved& saved) {
  return {reinterpret_cast<const char*>(saved.bytes.data()), saved.bytes.size()};
}

TEST(StateStore, GivesBackWhatWasSavedLast) {
  Memory memory;
  StateStore store(memory.room);
  ASSERT_TRUE(store.load());
  EXPECT_FALSE(*store.load()) << "nothing was saved";
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(store.save(static_cast<std::uint64_t>(i),
                           bytes(std::string(40, static_cast<char>('a' + i)))));
    const auto saved = StateStore(memory.room).load();
    ASSERT_TRUE(saved && *saved);
    EXPECT_EQ((*saved)->note, static_cast<std::uint64_t>(i));
    EXPECT_EQ(text_of(**saved), std::string(40, static_cast<char>('a' + i)));
  }
}

// What memory holds after a save that was killed: some of its bytes, in any order up to the word
// that makes it count, are the new ones.
TEST(StateStore, ASaveThatIsKilledLeavesTheOldOrTheNew) {
  Memory before;
  ASSERT_TRUE(StateStore(before.room).save(1, bytes(std::string(300, 'o'))));
  ASSERT_TRUE(StateStore(before.room).save(2, bytes(std::string(200, 'p'))));
  Memory after = before;
  ASSERT_TRUE(StateStore(after.room).save(3, bytes(std::string(333, 'n'))));
  constexpr std::size_t kSequence = 8;  // where the word stands
  for (std::size_t written = 0; written <= before.room.size(); ++written) {
    Memory torn = before;
    std::copy_n(after.room.begin() + 64, std::max<std::size_t>(written, 64) - 64,
                torn.room.begin() + 64);
    const auto saved = StateStore(torn.room).load();
    ASSERT_TRUE(saved && *saved) << written;
    EXPECT_EQ((*saved)->note, 2U) << written;
    EXPECT_EQ(text_of(**saved), std::string(200, 'p'));
  }
  Memory whole = before;
  std::copy(after.room.begin() + 64, after.room.end(), whole.room.begin() + 64);
  std::copy_n(after.room.begin() + kSequence, 8, whole.room.begin() + kSequence);
  EXPECT_EQ((*StateStore(whole.room).load())->note, 3U);
}

TEST(StateStore, SaysWhatDoesNotFitAndWhatIsDamaged) {
  Memory memory;
  StateStore store(memory.room);
  ASSERT_TRUE(store.save(1, bytes("kept")));
  const auto large = store.save(2, std::vector<std::byte>(store.capacity() + 1));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().what,
            "memory for series: 457 bytes do not fit in 456; attach with a larger --series-memory");
  EXPECT_EQ(text_of(**store.load()), "kept");
  ASSERT_TRUE(store.save(3, std::vector<std::byte>(store.capacity())));
  memory.room[64 + 24 + 7] ^= std::byte{1};
  EXPECT_FALSE(store.load());
  Memory foreign;
  foreign.room[0] = std::byte{1};
  EXPECT_FALSE(StateStore(foreign.room).load());
  EXPECT_EQ(StateStore(std::span(memory.room).first(64)).capacity(), 0U);
}

}  // namespace
}  // namespace nfbpf::traffic
