// SPDX-License-Identifier: Apache-2.0
#include "reader/reader.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/boot_time.h"
#include "folder.h"
#include "tables.h"
#include "traffic/families.h"

namespace nfbpf::reader {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using traffic::ErrorClass;

// What the pins hold, as a test says it.
struct World {
  int opens = 0;
  int failing_reads = 0;  // reads that fail before reads work again
  int other_opens = 0;
  int reads = 0;
  std::chrono::milliseconds read_time{0};
  std::uint64_t packets = 1;
  std::string skip;  // map that cannot be shown
  std::string unwanted;
  bool interface_label = false;
  bool layout_differs = false;
  bool has_epoch = false;
  bool other_labels = false;  // of the second buffer
};

class FakeSource final : public MapSource {
 public:
  FakeSource(World& world, const std::string& map) : world_(world), layout_(test::ipv4_layout()) {
    layout_.map = map;
    if (world.other_labels && map.ends_with("_b")) layout_.labels.pop_back();
    if (world.interface_label) layout_.labels[0].kind = traffic::FieldKind::kIfname;
  }
  [[nodiscard]] const traffic::Layout& layout() const override { return layout_; }
  [[nodiscard]] Result<traffic::Table> read() override {
    ++world_.reads;
    std::this_thread::sleep_for(world_.read_time);
    if (world_.failing_reads > 0) {
      --world_.failing_reads;
      return fail_errno(EIO, "map " + layout_.map);
    }
    auto table = test::table(layout_);
    test::add(table, test::ipv4_key(2, 6, "10.0.0.1", "10.0.0.2"), {world_.packets, 1});
    return table;
  }

 private:
  World& world_;
  traffic::Layout layout_;
};

class FakeOpener final : public MapOpener {
 public:
  explicit FakeOpener(World& world) : world_(world) {}
  [[nodiscard]] tl::expected<Opened, traffic::Failure> open(const ManifestMap& map) override {
    ++world_.opens;
    if (world_.layout_differs)
      return tl::unexpected(traffic::Failure{ErrorClass::kLayout, Error{0, "key_size is 8"}});
    if (map.name == world_.unwanted) return Opened{};
    if (map.name == world_.skip) return Opened{nullptr, "map " + map.name + ": key x: is odd"};
    return Opened{std::make_unique<FakeSource>(world_, map.name), {}, world_.has_epoch};
  }
  [[nodiscard]] Opened open_other(const OtherPin& pin) override {
    ++world_.other_opens;
    if (!fs::exists(pin.path)) return {nullptr, "map " + pin.name + ": is not there"};
    return {std::make_unique<FakeSource>(world_, pin.name), {}};
  }

 private:
  World& world_;
};

class ReaderTest : public testing::Test {
 protected:
  ReaderTest()
      : reader_({run_.path(), sysfs_.path()}, std::make_unique<FakeOpener>(world_),
                [this] { return interfaces_; }) {}

  void load(const char* datapath = "netfilter-link", int abi_major = 1, double attached_at = 0) {
    write_manifest({map("one", 1), map("two", 2)}, datapath, abi_major, attached_at);
  }
  void write_manifest(const json& maps, const char* datapath = "netfilter-link", int abi_major = 1,
                      double attached_at = 0) {
    const json state = {{"abi", {{"major", abi_major}, {"minor", 0}}},
                        {"datapath", datapath},
                        {"attached_at", attached_at},
                        {"accountable", true},
                        {"program", {{"name", "p"}, {"id", ++loads_}}},
                        {"maps", maps}};
    std::ofstream(run_.path() / "new") << state;
    fs::rename(run_.path() / "new", run_.path() / "state.json");
  }

  void add_module(const char* version) {
    const auto module = sysfs_.path() / "module/nfbpf";
    const auto hook = module / "hooks/ipv4_local_in";
    fs::create_directories(hook);
    for (const char* file : {"packets", "bytes", "matched", "run_ns", "run_samples"})
      std::ofstream(hook / file) << "1\n";
    if (version != nullptr) std::ofstream(module / "version") << version << "\n";
  }

  void set_module(double since, const char* packets) {
    const auto hooks = sysfs_.path() / "module/nfbpf/hooks";
    std::ofstream(hooks / "since") << std::to_string(since) << "\n";
    std::ofstream(hooks / "ipv4_local_in/packets") << packets << "\n";
  }

  static json map(const char* name, int id) {
    return {{"name", name},      {"pin", "/x"},      {"id", id},
            {"type", "hash"},    {"key_size", 12},   {"value_size", 16},
            {"max_entries", 10}, {"key_type_id", 1}, {"value_type_id", 2}};
  }

  World world_;
  test::Folder run_;
  test::Folder sysfs_;
  std::vector<traffic::EnumName> interfaces_;
  Reader reader_;
  int loads_ = 0;
};

TEST_F(ReaderTest, StartsBeforeAnythingIsLoadedAndSeesItAppear) {
  auto snapshot = reader_.take();
  EXPECT_FALSE(snapshot->complete());
  ASSERT_TRUE(snapshot->collections[0].failure);
  EXPECT_EQ(snapshot->collections[0].failure->kind, ErrorClass::kNotLoaded);
  EXPECT_FALSE(snapshot->collections[1].failure) << "no module is no fault then";
  load();
  snapshot = reader_.take();
  EXPECT_TRUE(snapshot->complete());
  EXPECT_EQ(snapshot->tables.size(), 2U);
  EXPECT_EQ(snapshot->origin->program.id, "1");
}

TEST_F(ReaderTest, OpensOnceAndAgainWhenTheManifestChanges) {
  load();
  (void)reader_.take();
  (void)reader_.take();
  EXPECT_EQ(world_.opens, 2);
  load();
  EXPECT_EQ(reader_.take()->origin->program.id, "2");
  EXPECT_EQ(world_.opens, 4);
}

TEST_F(ReaderTest, OpensAgainWhenAReadFailsAndRecoversWithinTheScrape) {
  load();
  (void)reader_.take();
  world_.failing_reads = 1;
  EXPECT_TRUE(reader_.take()->complete());
  EXPECT_EQ(world_.opens, 4);
}

TEST_F(ReaderTest, GivesNothingRatherThanAPart) {
  load();
  world_.failing_reads = 2;
  const auto snapshot = reader_.take();
  EXPECT_FALSE(snapshot->complete());
  EXPECT_TRUE(snapshot->tables.empty());
  EXPECT_EQ(snapshot->collections[0].failure->kind, ErrorClass::kRead);
  EXPECT_TRUE(reader_.take()->complete());
}

TEST_F(ReaderTest, LosesSightOfWhatIsDetached) {
  load();
  (void)reader_.take();
  fs::remove(run_.path() / "state.json");
  EXPECT_FALSE(reader_.take()->complete());
}

// Slow reads, so that threads come while one is under way.
TEST_F(ReaderTest, OneReadServesAllWhoCameBeforeIt) {
  load();
  (void)reader_.take();
  world_.reads = 0;
  world_.read_time = std::chrono::milliseconds(50);
  std::vector<std::thread> threads;
  std::vector<std::shared_ptr<const traffic::Snapshot>> snapshots(12);
  for (auto& snapshot : snapshots) threads.emplace_back([&] { snapshot = reader_.take(); });
  for (auto& thread : threads) thread.join();
  for (const auto& snapshot : snapshots) EXPECT_TRUE(snapshot->complete());
  EXPECT_LE(world_.reads, 2 * 6) << "two maps; the first who comes and then the rest";
}

TEST_F(ReaderTest, SkipsAMapThatCannotBeShownAndGoesOn) {
  load();
  world_.skip = "one";
  const auto snapshot = reader_.take();
  EXPECT_TRUE(snapshot->complete());
  EXPECT_EQ(snapshot->tables.size(), 1U);
  ASSERT_EQ(snapshot->skipped.size(), 1U);
  EXPECT_EQ(snapshot->skipped[0].why, "map one: key x: is odd");
}

TEST_F(ReaderTest, SaysNothingOfAMapThatIsNotWanted) {
  load();
  world_.unwanted = "one";
  const auto snapshot = reader_.take();
  EXPECT_EQ(snapshot->tables.size(), 1U);
  EXPECT_TRUE(snapshot->skipped.empty());
}

TEST_F(ReaderTest, ResolvesInterfaceNamesAnewForEachSnapshot) {
  load();
  world_.interface_label = true;
  interfaces_ = {{2, "eth0"}};
  EXPECT_EQ(reader_.take()->tables[0].layout().labels[0].names, interfaces_);
  interfaces_ = {{2, "lan"}, {3, "wan"}};
  EXPECT_EQ(reader_.take()->tables[1].layout().labels[0].names, interfaces_);
}

// Whatever program runs: what the second has is part of the same series.
TEST_F(ReaderTest, BuffersOfAProgramBeforeAreOneTable) {
  json first = map("one", 1);
  json second = map("one_b", 2);
  first["btf_sha256"] = second["btf_sha256"] = "aa";
  world_.has_epoch = true;
  write_manifest({first, second});
  auto snapshot = reader_.take();
  ASSERT_EQ(snapshot->tables.size(), 1U);
  EXPECT_EQ(snapshot->tables[0].values(0)[0], 2U);
  EXPECT_TRUE(snapshot->complete());

  world_.other_labels = true;
  write_manifest({first, second});
  snapshot = reader_.take();
  EXPECT_EQ(snapshot->tables.size(), 2U) << "the one has other labels by now";
  EXPECT_TRUE(snapshot->complete());

  world_.other_labels = false;
  world_.has_epoch = false;
  write_manifest({first, second});
  EXPECT_EQ(reader_.take()->tables.size(), 2U) << "two maps that never were buffers";
}

class OtherPinsTest : public ReaderTest {
 protected:
  std::shared_ptr<const traffic::Snapshot> take() { return others_.take(); }
  // By rename, as a pin that is replaced is another inode.
  void pin() {
    std::ofstream(run_.path() / "next") << "x";
    fs::rename(run_.path() / "next", pin_);
  }

  fs::path pin_ = run_.path() / "pin";
  Reader others_{{run_.path(), sysfs_.path()},
                 std::make_unique<FakeOpener>(world_),
                 [this] { return interfaces_; },
                 {{"theirs", pin_, {}}, {"one", pin_, {}}}};
};

TEST_F(OtherPinsTest, AreShownWithoutALoaderAndOpenedOnce) {
  pin();
  (void)take();
  const auto snapshot = take();
  EXPECT_EQ(snapshot->tables.size(), 2U);
  EXPECT_EQ(world_.other_opens, 2);
  EXPECT_FALSE(snapshot->complete()) << "the loader's maps are still missing";
  ASSERT_EQ(snapshot->collections.size(), 3U);
  EXPECT_EQ(snapshot->collections[2].collector, kPinsCollector);
  EXPECT_FALSE(snapshot->collections[2].failure);
}

TEST_F(OtherPinsTest, ComeAndGoAndAreReplaced) {
  auto snapshot = take();
  ASSERT_EQ(snapshot->skipped.size(), 2U);
  EXPECT_EQ(snapshot->skipped[0].why, "map theirs: is not there");
  pin();
  EXPECT_EQ(take()->tables.size(), 2U);
  const int opens = world_.other_opens;
  pin();
  EXPECT_EQ(take()->tables.size(), 2U);
  EXPECT_EQ(world_.other_opens, opens + 2);
  fs::remove(pin_);
  snapshot = take();
  EXPECT_TRUE(snapshot->tables.empty());
  EXPECT_EQ(snapshot->skipped.size(), 2U);
}

TEST_F(OtherPinsTest, GiveWayToTheLoadersMapOfThatName) {
  pin();
  load();
  const auto snapshot = take();
  EXPECT_TRUE(snapshot->complete());
  EXPECT_EQ(snapshot->tables.size(), 3U);
  ASSERT_EQ(snapshot->skipped.size(), 1U);
  EXPECT_EQ(snapshot->skipped[0].why, "map one: nfbpf-load has a map of that name; give " +
                                          pin_.string() + " another with name in pinned_maps");
}

TEST_F(OtherPinsTest, OneThatCannotBeReadTakesNothingFromTheOthers) {
  pin();
  world_.failing_reads = 1;
  const auto snapshot = take();
  EXPECT_FALSE(snapshot->tables.empty());
  EXPECT_TRUE(snapshot->collections[2].failure);
}

TEST_F(ReaderTest, RefusesAnotherAbiAndAnotherLayout) {
  load("kmod", 2);
  EXPECT_EQ(reader_.take()->collections[0].failure->kind, ErrorClass::kAbi);
  EXPECT_EQ(world_.opens, 0);
  load();
  world_.layout_differs = true;
  EXPECT_EQ(reader_.take()->collections[0].failure->kind, ErrorClass::kLayout);
  world_.layout_differs = false;
  EXPECT_TRUE(reader_.take()->complete());
}

TEST_F(ReaderTest, WantsTheModulesTotalsWhereTheModuleIsTheDatapath) {
  load("kmod");
  auto snapshot = reader_.take();
  EXPECT_FALSE(snapshot->complete());
  EXPECT_EQ(snapshot->tables.size(), 2U) << "the maps were read";
  EXPECT_EQ(snapshot->collections[1].failure->kind, ErrorClass::kRead);
  add_module(nullptr);
  snapshot = reader_.take();
  EXPECT_TRUE(snapshot->complete()) << "no version is no error";
  EXPECT_EQ(snapshot->tables.size(), 3U);
}

TEST_F(ReaderTest, RefusesAModuleOfAnotherAbi) {
  load("kmod");
  const std::string file = (sysfs_.path() / "module/nfbpf/version").string();
  const std::pair<const char*, std::string> refused[] = {
      {"2.0",
       ": the module has ABI major 2, this exporter reads ABI major 1; load again with the "
       "nfbpf-load of this version"},
      {"11.0",
       ": the module has ABI major 11, this exporter reads ABI major 1; load again with the "
       "nfbpf-load of this version"},
      {"one", ": \"one\" is not a major.minor"},
  };
  for (const auto& [version, error] : refused) {
    SCOPED_TRACE(version);
    add_module(version);
    const auto snapshot = reader_.take();
    EXPECT_FALSE(snapshot->complete());
    EXPECT_EQ(snapshot->tables.size(), 2U) << "its totals are not read";
    ASSERT_TRUE(snapshot->collections[1].failure);
    EXPECT_EQ(snapshot->collections[1].failure->kind, ErrorClass::kAbi);
    EXPECT_EQ(snapshot->collections[1].failure->error.what, file + error);
  }
  add_module("1.7");
  EXPECT_TRUE(reader_.take()->complete()) << "a minor only adds";
}

TEST_F(ReaderTest, AsksNoVersionWhereTheModuleIsNotTheDatapath) {
  load("netfilter-link");
  add_module("2.0");
  EXPECT_TRUE(reader_.take()->complete());
}

std::uint64_t module_packets(const traffic::Snapshot& snapshot) {
  for (const traffic::Table& table : snapshot.tables)
    if (table.layout().family == traffic::kTotalsFamily) return table.values(0)[0];
  return 0;
}

TEST_F(ReaderTest, AModuleThatComesAfterAnotherGoesOnFromItAndTheGapIsBlind) {
  const double now = since_boot();
  load("kmod", 1, now - 50);
  add_module("1.2");
  set_module(now - 60, "100");
  const auto before = reader_.take();
  ASSERT_TRUE(before->complete());
  EXPECT_EQ(module_packets(*before), 100U);
  EXPECT_EQ(before->blind_seconds, 0);
  EXPECT_TRUE(before->origin->accountable);

  fs::remove_all(sysfs_.path() / "module");
  const auto without = reader_.take();
  EXPECT_FALSE(without->complete());
  EXPECT_GT(*without->blind_seconds, 0);

  add_module("1.2");
  set_module(since_boot(), "7");
  const auto after = reader_.take();
  ASSERT_TRUE(after->complete());
  EXPECT_EQ(module_packets(*after), 107U);
  EXPECT_GT(*after->blind_seconds, 0);
  EXPECT_FALSE(after->origin->accountable) << "rows have what the module before met";
  EXPECT_EQ(reader_.take()->blind_seconds, after->blind_seconds);
}

TEST_F(ReaderTest, ATimeThatCannotBeReadMakesNoOtherModule) {
  load("kmod", 1, since_boot() - 50);
  add_module("1.2");
  set_module(1, "100");
  EXPECT_EQ(module_packets(*reader_.take()), 100U);
  const auto since = sysfs_.path() / "module/nfbpf/hooks/since";
  fs::remove(since);
  fs::create_directories(since);  // nothing can be read from it
  EXPECT_EQ(module_packets(*reader_.take()), 100U);
  fs::remove(since);
  set_module(1, "101");
  EXPECT_EQ(module_packets(*reader_.take()), 101U);
}

TEST_F(ReaderTest, LinksThatAreGoneAreBlind) {
  const auto pins = run_.path() / "pins";
  fs::create_directories(pins / "links/one");
  Reader reader({run_.path(), sysfs_.path(), pins}, std::make_unique<FakeOpener>(world_));
  load("netfilter-link", 1, since_boot() - 10);
  EXPECT_EQ(reader.take()->blind_seconds, 0);
  fs::remove_all(pins / "links/one");
  EXPECT_GT(*reader.take()->blind_seconds, 0);
}

TEST_F(ReaderTest, AFreshAttachBeginsAnew) {
  load("kmod", 1, since_boot() - 10);
  add_module("1.2");
  set_module(1, "100");
  EXPECT_EQ(module_packets(*reader_.take()), 100U);
  load("kmod", 1, since_boot() - 5);
  set_module(2, "1");
  const auto after = reader_.take();
  EXPECT_EQ(module_packets(*after), 1U);
  EXPECT_EQ(after->blind_seconds, 0);
}

}  // namespace
}  // namespace nfbpf::reader
