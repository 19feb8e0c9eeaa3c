// SPDX-License-Identifier: Apache-2.0
#include "reader/keeper.h"

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "base/unique_fd.h"
#include "folder.h"
#include "reader/manifest.h"
#include "tables.h"

namespace nfbpf::reader {
namespace {

// The kernel's side: two buffers of one table, and which of them is counted into.
struct Kernel {
  std::map<std::string, std::uint64_t> buffers[2];  // by address
  std::uint32_t active = 0;
  std::uint64_t made[2] = {0, 0};
  int clears = 0;
  bool clear_fails = false;
  bool read_only[2] = {false, false};  // how the maps were opened
  bool knows_buffers = true;           // else it counts into the first, whatever `active` is

  void count(const std::string& address, std::uint64_t packets) {
    const auto [row, fresh] = buffers[knows_buffers ? active : 0].try_emplace(address, 0);
    row->second += packets;
    made[active] += knows_buffers && fresh ? 1 : 0;
  }
};

class FakeMap final : public MapSource {
 public:
  FakeMap(Kernel& kernel, std::uint32_t buffer) : kernel_(kernel), buffer_(buffer) {
    layout_ = test::ipv4_layout();
    if (buffer == 1) layout_.map += "_b";
  }
  [[nodiscard]] const traffic::Layout& layout() const override { return layout_; }
  [[nodiscard]] Result<traffic::Table> read() override {
    auto table = test::table(layout_, 8);
    for (const auto& [address, packets] : kernel_.buffers[buffer_])
      test::add(table, test::ipv4_key(2, 6, address.c_str(), "10.0.0.2"), {packets, packets * 100});
    return table;
  }
  [[nodiscard]] Result<void> clear() override {
    ++kernel_.clears;
    if (kernel_.clear_fails) return fail("killed here");
    if (kernel_.read_only[buffer_]) return fail_errno(EPERM, layout_.map);
    kernel_.buffers[buffer_].clear();
    return {};
  }

 private:
  Kernel& kernel_;
  std::uint32_t buffer_;
  traffic::Layout layout_;
};

class FakeEpoch final : public Epoch {
 public:
  explicit FakeEpoch(Kernel& kernel) : kernel_(kernel) {}
  [[nodiscard]] std::uint32_t active() const override { return kernel_.active; }
  void turn() override { kernel_.active = 1 - kernel_.active; }
  [[nodiscard]] Result<void> wait() override { return {}; }
  [[nodiscard]] std::uint64_t made(std::uint32_t buffer) const override {
    return kernel_.made[buffer];
  }
  void forget_made(std::uint32_t buffer) override { kernel_.made[buffer] = 0; }

 private:
  Kernel& kernel_;
};

// An exporter that can be killed: the kernel and what was saved stay.
class KeeperTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(run_dir() / "btf"); }

  // What the two maps are to a reader: buffers by the epoch; the same under a program that knows no
  // epoch; two maps, where it cannot be told that they were buffers.
  enum class Maps { kBuffers, kPair, kTwo };

  // The same process opens it anew, as Reader does after a failed read.
  void reopen(Maps maps = Maps::kBuffers) {
    const auto past = keeper_->past();
    start(memory_bytes_, maps);
    keeper_->go_on_from(past);
  }

  void start(std::size_t memory_bytes = 1 << 20, Maps maps = Maps::kBuffers) {
    keeper_.reset();
    if (memory_bytes != memory_bytes_) file_.reset(::memfd_create("series", MFD_CLOEXEC));
    memory_bytes_ = memory_bytes;
    open_maps(maps);
    ASSERT_EQ(::ftruncate(file_.get(), static_cast<off_t>(memory_bytes)), 0);
    auto memory = PinMemory::map_file(file_.get(), memory_bytes);
    ASSERT_TRUE(memory);
    std::vector<Keeper::Part> parts{{&first_, &second_, maps == Maps::kBuffers}};
    if (maps == Maps::kTwo) parts = {{&first_, nullptr}, {&second_, nullptr}};
    auto keeper = Keeper::open_with({"", run_dir()}, parts, options_, std::move(*memory),
                                    std::make_unique<FakeEpoch>(kernel_));
    ASSERT_TRUE(keeper) << keeper.error().what;
    keeper_ = std::move(*keeper);
  }
  [[nodiscard]] std::filesystem::path run_dir() const { return folder_.path(); }

  // For writing or not, as the manifest says of them.
  void open_maps(Maps maps) {
    nlohmann::json all = nlohmann::json::array();
    for (const FakeMap* map : {&first_, &second_})
      all.push_back({{"name", map->layout().map},
                     {"pin", "/x"},
                     {"id", 1},
                     {"type", "hash"},
                     {"key_size", 12},
                     {"value_size", 16},
                     {"max_entries", 8},
                     {"key_type_id", 1},
                     {"value_type_id", 2}});
    if (maps == Maps::kBuffers) all[1]["second_of"] = first_.layout().map;
    const nlohmann::json state = {
        {"abi", {{"major", 1}, {"minor", 0}}}, {"program", {{"name", "p"}}}, {"maps", all}};
    const auto manifest = parse_manifest(state.dump(), "state.json", run_dir());
    ASSERT_TRUE(manifest) << manifest.error().error.what;
    for (const int i : {0, 1}) kernel_.read_only[i] = !wants_to_write(manifest->maps[i]);
  }

  static bool ours() { return true; }

  // Packets of all series; those of one address where it is given.
  std::uint64_t shown(const std::string& address = {}) {
    const auto tables = keeper_->show();
    EXPECT_TRUE(tables) << tables.error().what;
    std::uint64_t sum = 0;
    const auto key =
        test::ipv4_key(2, 6, address.empty() ? "0.0.0.0" : address.c_str(), "10.0.0.2");
    for (const traffic::Table& table : *tables)
      for (std::size_t row = 0; row < table.rows(); ++row)
        if (address.empty() || std::ranges::equal(table.key(row), key)) sum += table.values(row)[0];
    return sum;
  }

  test::Folder folder_;
  UniqueFd file_;
  std::size_t memory_bytes_ = 0;
  Kernel kernel_;
  FakeMap first_{kernel_, 0}, second_{kernel_, 1};
  traffic::LedgerOptions options_{100, 900};
  std::unique_ptr<Keeper> keeper_;
};

TEST_F(KeeperTest, TakesRowsOutAndShowsThemOn) {
  start();
  kernel_.count("10.0.0.1", 7);
  EXPECT_EQ(shown(), 7U);
  ASSERT_TRUE(keeper_->tick(1, ours));
  ASSERT_TRUE(keeper_->tick(302, ours));
  EXPECT_TRUE(kernel_.buffers[0].empty());
  kernel_.count("10.0.0.1", 5);
  EXPECT_EQ(kernel_.buffers[1].size(), 1U);
  EXPECT_EQ(shown(), 12U);
  EXPECT_EQ(keeper_->keeping().drains, 1U);
}

TEST_F(KeeperTest, AnEmptyBufferIsNoDrain) {
  start();
  ASSERT_TRUE(keeper_->tick(1, ours));
  ASSERT_TRUE(keeper_->tick(302, ours));
  EXPECT_EQ(keeper_->keeping().drains, 0U);
}

// Killed between the save and the emptying: the rows are in what was saved, and in the buffer.
TEST_F(KeeperTest, ANotedBufferIsNotShownTwiceAndEmptiedUnderTheLockAlone) {
  start();
  kernel_.count("10.0.0.1", 7);
  ASSERT_TRUE(keeper_->tick(1, ours));
  kernel_.clear_fails = true;
  EXPECT_FALSE(keeper_->tick(302, ours));
  start();
  kernel_.count("10.0.0.1", 5);
  EXPECT_EQ(shown(), 12U);
  kernel_.clear_fails = false;
  kernel_.clears = 0;
  const UniqueFd loader(::open(run_dir().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::flock(loader.get(), LOCK_EX | LOCK_NB), 0);
  ASSERT_TRUE(keeper_->tick(303, ours));
  EXPECT_EQ(kernel_.clears, 0) << "the loader is at work";
  EXPECT_EQ(shown(), 12U) << "and the note outlives a save by a scrape";
  start();
  EXPECT_EQ(shown(), 12U);
  ASSERT_EQ(::flock(loader.get(), LOCK_UN), 0);
  ASSERT_TRUE(keeper_->tick(304, ours));
  EXPECT_TRUE(kernel_.buffers[0].empty());
  EXPECT_EQ(shown(), 12U);
}

TEST_F(KeeperTest, ANoteOutlivesAProgramWithoutBuffers) {
  for (const Maps maps : {Maps::kTwo, Maps::kPair}) {
    SCOPED_TRACE(static_cast<int>(maps));
    for (const std::uint32_t noted : {0U, 1U}) {
      SCOPED_TRACE(noted);
      file_.reset();
      memory_bytes_ = 0;
      kernel_ = {};
      kernel_.active = noted;
      start();
      kernel_.count("10.0.0.1", 7);
      ASSERT_TRUE(keeper_->tick(1, ours));
      kernel_.clear_fails = true;
      EXPECT_FALSE(keeper_->tick(302, ours));
      kernel_.clear_fails = false;
      start(memory_bytes_, maps);
      kernel_.count("10.0.0.1", 5);
      EXPECT_EQ(shown(), 12U);
      ASSERT_TRUE(keeper_->tick(303, ours));
      EXPECT_TRUE(kernel_.buffers[noted].empty());
      EXPECT_EQ(shown(), 12U);
    }
  }
}

// What the second buffer has is part of the same series when a program runs that knows no buffers.
TEST_F(KeeperTest, NoSeriesFallsUnderAProgramWithoutBuffers) {
  options_.series_limit = 1;
  kernel_.active = 1;
  start();
  kernel_.count("10.0.0.1", 10);
  EXPECT_EQ(shown("10.0.0.1"), 10U);
  kernel_.count("10.0.0.2", 100);
  EXPECT_EQ(shown(), 110U);
  ASSERT_TRUE(keeper_->tick(1, ours));
  ASSERT_TRUE(keeper_->tick(17, ours)) << "10.0.0.2 takes the place, and owes 100";
  EXPECT_EQ(shown("10.0.0.2"), 0U);
  kernel_.count("10.0.0.2", 3);
  EXPECT_EQ(shown("10.0.0.2"), 3U);
  for (const bool knows_buffers : {false, true, false}) {
    kernel_.knows_buffers = knows_buffers;
    start(memory_bytes_, knows_buffers ? Maps::kBuffers : Maps::kPair);
    EXPECT_EQ(shown(), 113U);
    EXPECT_EQ(shown("10.0.0.2"), 3U);
    ASSERT_TRUE(keeper_->tick(18, ours));
    EXPECT_EQ(shown(), 113U);
    EXPECT_EQ(shown("10.0.0.2"), 3U);
  }
  kernel_.count("10.0.0.2", 4);
  EXPECT_EQ(shown("10.0.0.2"), 7U);
}

TEST_F(KeeperTest, ItsClockAndWhatItDidGoOnWhenItIsOpenedAnew) {
  options_.idle_seconds = 300;
  start();
  kernel_.count("10.0.0.1", 7);
  ASSERT_TRUE(keeper_->tick(1, ours));
  reopen();
  ASSERT_TRUE(keeper_->tick(102, ours)) << "looks after the buffer that is not counted into";
  ASSERT_TRUE(keeper_->tick(103, ours)) << "100 seconds, whoever waited";
  EXPECT_TRUE(kernel_.buffers[0].empty());
  reopen();
  EXPECT_EQ(keeper_->keeping().drains, 1U);
  EXPECT_EQ(keeper_->keeping().drained_rows, 1U);
  for (double now = 110; now < 510; now += 50) {
    reopen(Maps::kPair);
    ASSERT_TRUE(keeper_->tick(now, ours));
  }
  EXPECT_EQ(keeper_->families()[0].series, 0U) << "idle, and ranked out";
  EXPECT_EQ(shown(), 7U);
}

TEST_F(KeeperTest, NothingIsTakenOutOfWhatIsNotOurs) {
  start();
  kernel_.count("10.0.0.1", 7);
  ASSERT_TRUE(keeper_->tick(1, ours));
  const auto not_ours = [] { return false; };
  ASSERT_TRUE(keeper_->tick(302, not_ours));
  EXPECT_EQ(kernel_.buffers[0].size(), 1U);
  ASSERT_TRUE(keeper_->tick(350, not_ours));
  const auto late = keeper_->tick(363, not_ours);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, EBUSY);
  EXPECT_EQ(shown(), 7U);
  ASSERT_TRUE(keeper_->tick(364, ours));
  EXPECT_TRUE(kernel_.buffers[0].empty());
}

TEST_F(KeeperTest, ALimitThatDoesNotFitIsLowered) {
  options_.series_limit = 1'000'000;
  start(std::size_t{64} << 10);
  ASSERT_TRUE(keeper_->lowered_limit());
  EXPECT_GT(*keeper_->lowered_limit(), 100U);
  EXPECT_LT(*keeper_->lowered_limit(), 1000U);
  for (int i = 0; i < 5000; ++i)
    kernel_.count("10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250), 1);
  for (int second = 1; second < 100; ++second) {
    EXPECT_EQ(shown(), 5000U);
    ASSERT_TRUE(keeper_->tick(second, ours));
  }
  options_.series_limit = 100;
  start();
  EXPECT_FALSE(keeper_->lowered_limit());
}

// A map that is much too small is drained each second: who is busy shows before that alone.
TEST_F(KeeperTest, ABusyPairGetsAPlaceDuringAFlood) {
  options_.series_limit = 6;
  start();
  std::mt19937 random(1);
  ASSERT_TRUE(keeper_->tick(0, ours));
  std::uint64_t counted = 0;
  for (int second = 1; second <= 60; ++second) {
    for (int i = 0; i < 7; ++i)
      kernel_.count("10.9." + std::to_string(random() % 250) + "." + std::to_string(random() % 250),
                    1);
    counted += 7;
    if (second > 5) {
      kernel_.count("10.0.0.1", 500);
      counted += 500;
    }
    EXPECT_EQ(shown(), counted);
    ASSERT_TRUE(keeper_->tick(second, ours));
  }
  EXPECT_GT(shown("10.0.0.1"), 10'000U);
}

}  // namespace
}  // namespace nfbpf::reader
