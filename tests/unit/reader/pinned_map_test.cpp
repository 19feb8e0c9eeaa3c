// SPDX-License-Identifier: Apache-2.0
#include "reader/pinned_map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <cstring>
#include <fstream>

#include "abi_btf.h"
#include "base/unique_fd.h"
#include "folder.h"
#include "reader/btf_file.h"
#include "tables.h"

namespace nfbpf::reader {
namespace {

namespace fs = std::filesystem;
constexpr std::uint32_t kEntries = 5000;

// Real maps in a bpffs of the test's own mount namespace, which goes when the process does.
class PinnedMap : public testing::Test {
 protected:
  PinnedMap() {
    triple_ = btf__add_struct(abi_.get(), "triple", 12);
    for (const auto& [name, offset] : {std::pair{"a", 0U}, {"b", 4U}, {"c", 8U}})
      abi_.field(name, abi_.u32_, offset);
  }
  void SetUp() override {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("bpf", folder_.path().c_str(), "bpf", 0, nullptr) != 0)
      GTEST_SKIP() << "a bpffs of its own needs root, and / must be a mount point: "
                   << std::strerror(errno);
    mounted_ = true;
    load_btf();
    make_map();
  }
  void TearDown() override {
    if (mounted_) ::umount2(folder_.path().c_str(), MNT_DETACH);
  }

  void load_btf() {
    std::uint32_t size = 0;
    const auto* raw = static_cast<const std::byte*>(btf__raw_data(abi_.get(), &size));
    btf_ = UniqueFd(bpf_btf_load(raw, size, nullptr));
    ASSERT_TRUE(btf_) << std::strerror(errno);
    manifest_.btf = run_.path() / "types.btf";
    manifest_.btf_sha256 = *sha256_hex({raw, size});
    std::ofstream(manifest_.btf, std::ios::binary).write(reinterpret_cast<const char*>(raw), size);
  }

  void make_map(bpf_map_type type = BPF_MAP_TYPE_PERCPU_HASH) {
    LIBBPF_OPTS(bpf_map_create_opts, opts, .btf_fd = static_cast<__u32>(btf_.get()),
                .btf_key_type_id = static_cast<__u32>(abi_.ipv4_key),
                .btf_value_type_id = static_cast<__u32>(abi_.source_destination));
    map_ = UniqueFd(bpf_map_create(type, "t", 12, 16, kEntries, &opts));
    ASSERT_TRUE(map_) << std::strerror(errno);
    const auto pin = folder_.path() / "t";
    fs::remove(pin);
    ASSERT_EQ(bpf_obj_pin(map_.get(), pin.c_str()), 0);
    bpf_map_info info{};
    std::uint32_t length = sizeof(info);
    ASSERT_EQ(bpf_obj_get_info_by_fd(map_.get(), &info, &length), 0);
    manifest_.name = "t";
    manifest_.pin = pin;
    manifest_.id = info.id;
    manifest_.type = libbpf_bpf_map_type_str(type);
    manifest_.key_size = 12;
    manifest_.value_size = 16;
    manifest_.max_entries = kEntries;
    manifest_.key_type_id = static_cast<std::uint32_t>(abi_.ipv4_key);
    manifest_.value_type_id = static_cast<std::uint32_t>(abi_.source_destination);
  }

  void set(int number, std::uint64_t packets_per_cpu) {
    const auto key = test::ipv4_key(
        2, 6, ("10.0." + std::to_string(number / 256) + "." + std::to_string(number % 256)).c_str(),
        "10.9.9.9");
    std::vector<nfbpf_source_destination> values(
        static_cast<std::size_t>(libbpf_num_possible_cpus()),
        {packets_per_cpu, packets_per_cpu * 10});
    ASSERT_EQ(bpf_map_update_elem(map_.get(), key.data(), values.data(), BPF_ANY), 0);
  }

  [[nodiscard]] tl::expected<MapOpener::Opened, traffic::Failure> open() {
    return PinOpener("").open(manifest_);
  }

  test::Folder folder_;
  test::Folder run_;
  test::AbiBtf abi_;
  int triple_;  // struct of three u32
  UniqueFd btf_;
  UniqueFd map_;
  ManifestMap manifest_;
  bool mounted_ = false;
};

TEST_F(PinnedMap, IsReadWholeAndSummedOverCpus) {
  for (int i = 0; i < 4000; ++i) set(i, 3);
  auto opened = open();
  ASSERT_TRUE(opened) << opened.error().error.what;
  ASSERT_TRUE(opened->source) << opened->skipped_because;
  for (int round = 0; round < 2; ++round) {
    const auto table = opened->source->read();
    ASSERT_TRUE(table) << table.error().what;
    ASSERT_EQ(table->rows(), 4000U);
    const auto cpus = static_cast<std::uint64_t>(libbpf_num_possible_cpus());
    for (std::size_t i = 0; i < table->rows(); ++i) {
      ASSERT_EQ(table->values(i)[0], 3 * cpus);
      ASSERT_EQ(table->values(i)[1], 30 * cpus);
    }
  }
}

TEST_F(PinnedMap, IsFoundBelowAnotherPinDir) {
  fs::create_directories(folder_.path() / "nfbpf/maps");
  ASSERT_EQ(bpf_obj_pin(map_.get(), (folder_.path() / "nfbpf/maps/t").c_str()), 0);
  manifest_.pin = "/nonexistent";
  EXPECT_TRUE(PinOpener(folder_.path() / "nfbpf").open(manifest_));
}

TEST_F(PinnedMap, IsRefusedByTheNameOfWhatDiffers) {
  const ManifestMap right = manifest_;
  const std::string pin = right.pin;
  const auto refused = [&](auto change) {
    manifest_ = right;
    change(manifest_);
    const auto opened = open();
    return opened ? "" : opened.error().error.what;
  };
  const std::string intro = pin + ": is not the map that nfbpf-load pinned: ";
  const std::string end = "; detach and load again";
  EXPECT_EQ(refused([](ManifestMap& m) { m.type = "hash"; }),
            intro + "type is percpu_hash, the manifest says hash" + end);
  EXPECT_EQ(refused([](ManifestMap& m) { m.key_size = 8; }),
            intro + "key_size is 12, the manifest says 8" + end);
  EXPECT_EQ(refused([](ManifestMap& m) { m.value_size = 8; }),
            intro + "value_size is 16, the manifest says 8" + end);
  EXPECT_EQ(refused([](ManifestMap& m) { m.max_entries = 8; }),
            intro + "max_entries is 5000, the manifest says 8" + end);
  EXPECT_EQ(refused([](ManifestMap& m) { m.id = 0; }),
            intro + "id is " + std::to_string(right.id) + ", the manifest says 0" + end);
  EXPECT_EQ(
      refused([](ManifestMap& m) { m.pin = "/nonexistent/t"; }),
      "/nonexistent/t: cannot open the pinned map: No such file or directory; run nfbpf-load");
}

TEST_F(PinnedMap, MayBeAnArray) {
  LIBBPF_OPTS(bpf_map_create_opts, opts, .btf_fd = static_cast<__u32>(btf_.get()),
              .btf_key_type_id = static_cast<__u32>(abi_.u32_),
              .btf_value_type_id = static_cast<__u32>(abi_.source_destination));
  for (const auto type : {BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH}) {
    const UniqueFd array(bpf_map_create(type, "array", 4, 16, 200, &opts));
    ASSERT_TRUE(array) << std::strerror(errno);
    const auto pin = folder_.path() / libbpf_bpf_map_type_str(type);
    ASSERT_EQ(bpf_obj_pin(array.get(), pin.c_str()), 0);
    std::vector<nfbpf_source_destination> values(
        static_cast<std::size_t>(libbpf_num_possible_cpus()), {2, 20});
    const std::uint32_t key = 7;
    ASSERT_EQ(bpf_map_update_elem(array.get(), &key, values.data(), BPF_ANY), 0);
    bpf_map_info info{};
    std::uint32_t length = sizeof(info);
    ASSERT_EQ(bpf_obj_get_info_by_fd(array.get(), &info, &length), 0);
    const ManifestMap map{"array",
                          pin,
                          info.id,
                          std::to_string(type),
                          4,
                          16,
                          200,
                          info.btf_key_type_id,
                          info.btf_value_type_id,
                          manifest_.btf,
                          manifest_.btf_sha256};
    const auto opened = PinOpener("").open(map);
    ASSERT_TRUE(opened) << opened.error().error.what;
    ASSERT_TRUE(opened->source) << opened->skipped_because;
    const auto table = opened->source->read();
    ASSERT_TRUE(table) << table.error().what;
    const bool is_array = type != BPF_MAP_TYPE_HASH;
    ASSERT_EQ(table->rows(), is_array ? 200U : 1U);
    const bool per_cpu = type == BPF_MAP_TYPE_PERCPU_ARRAY;
    EXPECT_EQ(table->values(is_array ? 7 : 0)[0], per_cpu ? 2U * values.size() : 2U);
  }
}

TEST_F(PinnedMap, MayHaveValuesThatAreNoMultipleOf8Bytes) {
  for (const auto type : {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH,
                          BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_PERCPU_HASH}) {
    for (const std::uint32_t size : {4U, 12U}) {
      SCOPED_TRACE(std::string(libbpf_bpf_map_type_str(type)) + " of " + std::to_string(size));
      const int value_type = size == 4 ? abi_.u32_ : triple_;
      LIBBPF_OPTS(bpf_map_create_opts, opts, .btf_fd = static_cast<__u32>(btf_.get()),
                  .btf_key_type_id = static_cast<__u32>(abi_.u32_),
                  .btf_value_type_id = static_cast<__u32>(value_type));
      const UniqueFd narrow(bpf_map_create(type, "narrow", 4, size, 5, &opts));
      ASSERT_TRUE(narrow) << std::strerror(errno);
      const auto pin = folder_.path() / (libbpf_bpf_map_type_str(type) + std::to_string(size));
      ASSERT_EQ(bpf_obj_pin(narrow.get(), pin.c_str()), 0);
      const bool per_cpu = type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH;
      const auto cpus = static_cast<std::size_t>(per_cpu ? libbpf_num_possible_cpus() : 1);
      for (std::uint32_t key = 0; key < 5; ++key) {
        // Room for the padding, in words: 2 or 4.
        std::vector<std::uint32_t> values(cpus * (size == 4 ? 2 : 4), 100 + key);
        ASSERT_EQ(bpf_map_update_elem(narrow.get(), &key, values.data(), BPF_ANY), 0);
      }
      bpf_map_info info{};
      std::uint32_t length = sizeof(info);
      ASSERT_EQ(bpf_obj_get_info_by_fd(narrow.get(), &info, &length), 0);
      const ManifestMap map{"narrow",
                            pin,
                            info.id,
                            std::to_string(type),
                            4,
                            size,
                            5,
                            info.btf_key_type_id,
                            info.btf_value_type_id,
                            manifest_.btf,
                            manifest_.btf_sha256};
      const auto opened = PinOpener("").open(map);
      ASSERT_TRUE(opened) << opened.error().error.what;
      ASSERT_TRUE(opened->source) << opened->skipped_because;
      const auto table = opened->source->read();
      ASSERT_TRUE(table) << table.error().what;
      ASSERT_EQ(table->rows(), 5U);
      for (std::size_t row = 0; row < 5; ++row) {
        std::uint32_t key = 0;
        std::memcpy(&key, table->key(row).data(), sizeof(key));
        for (const std::uint64_t counter : table->values(row))
          EXPECT_EQ(counter, cpus * (100 + key)) << "key " << key;
      }
    }
  }
}

TEST_F(PinnedMap, OfAnUnknownLayoutIsSkippedByName) {
  manifest_.type = "percpu_hash";
  LIBBPF_OPTS(bpf_map_create_opts, opts, .btf_fd = static_cast<__u32>(btf_.get()),
              .btf_key_type_id = static_cast<__u32>(abi_.u32_),
              .btf_value_type_id = static_cast<__u32>(abi_.u8_));
  const UniqueFd odd(bpf_map_create(BPF_MAP_TYPE_HASH, "odd", 4, 1, 8, &opts));
  ASSERT_EQ(bpf_obj_pin(odd.get(), (folder_.path() / "odd").c_str()), 0);
  bpf_map_info info{};
  std::uint32_t length = sizeof(info);
  ASSERT_EQ(bpf_obj_get_info_by_fd(odd.get(), &info, &length), 0);
  const ManifestMap map{"odd",
                        folder_.path() / "odd",
                        info.id,
                        "1",
                        4,
                        1,
                        8,
                        info.btf_key_type_id,
                        info.btf_value_type_id,
                        manifest_.btf,
                        manifest_.btf_sha256};
  const auto opened = PinOpener("").open(map);
  ASSERT_TRUE(opened) << opened.error().error.what;
  EXPECT_FALSE(opened->source);
  EXPECT_EQ(opened->skipped_because, "map odd: value: is no counter; counters are __u64 or __u32");
}

}  // namespace
}  // namespace nfbpf::reader
