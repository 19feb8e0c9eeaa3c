// SPDX-License-Identifier: Apache-2.0
#include "reader/batch_reader.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <vector>

#include "tables.h"

namespace nfbpf {
namespace {

constexpr std::uint32_t kCopies = 2;

// A hash of buckets that behaves as the kernel's does: a batch holds whole buckets, position is the
// bucket.
struct Kernel {
  std::vector<std::vector<std::vector<std::byte>>> buckets;
  std::map<std::vector<std::byte>, std::vector<std::uint64_t>> values;  // per copy: packets, bytes
  bool has_batches = true;
  int fail_batch_number = -1;  // which batch call fails with EFAULT
  int batch_calls = 0;
  std::uint32_t largest_room = 0;
  int restarts_left = 0;  // times that next_key starts again, as after a deletion
};

class FakeCalls final : public reader::MapCalls {
 public:
  explicit FakeCalls(Kernel& kernel) : k_(kernel) {}

  int lookup_batch(void* position, void* next, void* keys, void* values,
                   std::uint32_t* count) override {
    if (!k_.has_batches) return -EINVAL;
    k_.largest_room = std::max(k_.largest_room, *count);
    if (k_.batch_calls++ == k_.fail_batch_number) return -EFAULT;
    std::uint32_t bucket = 0;
    if (position != nullptr) std::memcpy(&bucket, position, sizeof(bucket));
    std::uint32_t done = 0;
    for (; bucket < k_.buckets.size(); ++bucket) {
      const auto& rows = k_.buckets[bucket];
      if (done + rows.size() > *count) break;
      for (const auto& key : rows) copy(key, done++, keys, values);
    }
    std::memcpy(next, &bucket, sizeof(bucket));
    const std::uint32_t room = *count;
    *count = done;
    if (bucket == k_.buckets.size()) return -ENOENT;
    return done == 0 && room > 0 ? -ENOSPC : 0;
  }

  int next_key(const void* key, void* next) override {
    const auto all = keys_in_order();
    std::size_t at = 0;
    if (key != nullptr) {
      while (at < all.size() && std::memcmp(all[at].data(), key, all[at].size()) != 0) ++at;
      at = at == all.size() ? 0 : at + 1;
      if (at == all.size() / 2 && k_.restarts_left-- > 0) at = 0;
    }
    if (at == all.size()) return -ENOENT;
    std::memcpy(next, all[at].data(), all[at].size());
    return 0;
  }

  int take_batch(void* position, void* next, void* keys, void* values,
                 std::uint32_t* count) override {
    std::uint32_t from = 0;
    if (position != nullptr) std::memcpy(&from, position, sizeof(from));
    const int answer = lookup_batch(position, next, keys, values, count);
    std::uint32_t to = 0;
    std::memcpy(&to, next, sizeof(to));
    if (answer == 0 || answer == -ENOENT)
      for (; from < to; ++from) k_.buckets[from].clear();
    return answer;
  }

  int remove(const void* key) override {
    const auto* bytes = static_cast<const std::byte*>(key);
    const std::vector<std::byte> wanted(bytes, bytes + 12);
    for (auto& bucket : k_.buckets)
      if (std::erase(bucket, wanted) > 0) return 0;
    return -ENOENT;
  }

  int lookup(const void* key, void* value) override {
    const auto* bytes = static_cast<const std::byte*>(key);
    const auto found = k_.values.find(std::vector<std::byte>(bytes, bytes + 12));
    if (found == k_.values.end()) return -ENOENT;
    std::memcpy(value, found->second.data(), found->second.size() * 8);
    return 0;
  }

 private:
  [[nodiscard]] std::vector<std::vector<std::byte>> keys_in_order() const {
    std::vector<std::vector<std::byte>> all;
    for (const auto& bucket : k_.buckets) all.insert(all.end(), bucket.begin(), bucket.end());
    return all;
  }
  void copy(const std::vector<std::byte>& key, std::uint32_t row, void* keys, void* values) {
    std::memcpy(static_cast<std::byte*>(keys) + row * key.size(), key.data(), key.size());
    std::memcpy(static_cast<std::byte*>(values) + row * 16 * kCopies, k_.values[key].data(),
                16 * kCopies);
  }

  Kernel& k_;
};

// `rows` pairs over `buckets` buckets; row i counts i on one CPU and 1000 on the other.
Kernel kernel_with(int rows, std::size_t buckets) {
  Kernel kernel;
  kernel.buckets.resize(buckets);
  for (int i = 0; i < rows; ++i) {
    const std::string source = "10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256);
    const auto key = test::ipv4_key(2, 6, source.c_str(), "10.9.9.9");
    kernel.buckets[static_cast<std::size_t>(i) % buckets].push_back(key);
    const auto n = static_cast<std::uint64_t>(i);
    kernel.values[key] = {n, n * 10, 1000, 10000};
  }
  return kernel;
}

reader::BatchReader reader_of(Kernel& kernel, std::uint32_t max_entries) {
  return {std::make_unique<FakeCalls>(kernel), test::ipv4_layout(), {max_entries, kCopies, true}};
}

void expect_all_rows(const Result<traffic::Table>& table, std::size_t rows) {
  ASSERT_TRUE(table) << table.error().what;
  ASSERT_EQ(table->rows(), rows);
  std::uint64_t packets = 0;
  for (std::size_t i = 0; i < rows; ++i) packets += table->values(i)[0];
  EXPECT_EQ(packets, rows * 1000 + rows * (rows - 1) / 2);
}

TEST(BatchReader, SumsCpusOverManyBatches) {
  auto kernel = kernel_with(20000, 4096);
  auto reader = reader_of(kernel, 32768);
  expect_all_rows(reader.read(), 20000);
  EXPECT_GT(kernel.batch_calls, 2);
  expect_all_rows(reader.read(), 20000);
}

TEST(BatchReader, TakesEveryRowOut) {
  for (const bool has_batches : {true, false}) {
    auto kernel = kernel_with(20000, 64);
    kernel.has_batches = has_batches;
    auto reader = reader_of(kernel, 32768);
    if (has_batches) expect_all_rows(reader.read(), 20000);
    const auto ok = reader.clear();
    ASSERT_TRUE(ok) << ok.error().what;
    expect_all_rows(reader.read(), 0);
  }
}

TEST(BatchReader, SaysSoWhenRowsCannotBeTakenOut) {
  auto kernel = kernel_with(20000, 64);
  kernel.fail_batch_number = 1;
  const auto ok = reader_of(kernel, 32768).clear();
  ASSERT_FALSE(ok);
  EXPECT_NE(ok.error().what.find("BPF_MAP_LOOKUP_AND_DELETE_BATCH"), std::string::npos);
}

TEST(BatchReader, ReadsAnEmptyMap) {
  auto kernel = kernel_with(0, 4);
  expect_all_rows(reader_of(kernel, 1024).read(), 0);
}

TEST(BatchReader, GrowsUntilABucketFits) {
  auto kernel = kernel_with(20000, 1);
  auto reader = reader_of(kernel, 32768);
  expect_all_rows(reader.read(), 20000);
  EXPECT_GE(kernel.largest_room, 20000U);
  const int calls = kernel.batch_calls;
  expect_all_rows(reader.read(), 20000);
  EXPECT_EQ(kernel.batch_calls, calls + 1) << "what ENOSPC taught is kept";
}

TEST(BatchReader, GivesUpWhereNoRoomIsEnough) {
  auto kernel = kernel_with(200, 1);
  const auto table = reader_of(kernel, 100).read();
  ASSERT_FALSE(table);
  EXPECT_EQ(
      table.error().what,
      "map nfbpf_ipv4: BPF_MAP_LOOKUP_BATCH stopped the read; nothing of it is used: No space left "
      "on device");
}

TEST(BatchReader, DiscardsAReadThatFailsHalfWay) {
  auto kernel = kernel_with(20000, 4096);
  kernel.fail_batch_number = 1;
  const auto table = reader_of(kernel, 32768).read();
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, EFAULT);
}

TEST(BatchReader, ReadsKeyByKeyWhereThereAreNoBatches) {
  auto kernel = kernel_with(300, 64);
  kernel.has_batches = false;
  expect_all_rows(reader_of(kernel, 1024).read(), 300);
}

TEST(BatchReader, TakesNoKeyTwiceWhenTheWalkStartsAgain) {
  auto kernel = kernel_with(300, 64);
  kernel.has_batches = false;
  kernel.restarts_left = 3;
  expect_all_rows(reader_of(kernel, 1024).read(), 300);
}

TEST(BatchReader, EndsAWalkThatWillNotEnd) {
  auto kernel = kernel_with(300, 64);
  kernel.has_batches = false;
  kernel.restarts_left = 1 << 30;
  const auto table = reader_of(kernel, 300).read();
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, EAGAIN);
}

TEST(BatchReader, LeavesOutAKeyThatIsDeletedUnderIt) {
  auto kernel = kernel_with(300, 64);
  kernel.has_batches = false;
  kernel.values.erase(kernel.buckets[0][0]);
  const auto table = reader_of(kernel, 1024).read();
  ASSERT_TRUE(table);
  EXPECT_EQ(table->rows(), 299U);
}

// An array or hash of one bucket, its keys u32 from 0 on, its values `stride` bytes apart.
class FakeRows final : public reader::MapCalls {
 public:
  FakeRows(std::vector<std::uint32_t> words, std::size_t stride, bool has_batches)
      : words_(std::move(words)), stride_(stride), has_batches_(has_batches) {}

  int lookup_batch(void*, void*, void* keys, void* values, std::uint32_t* count) override {
    if (!has_batches_) return -ENOTSUP;
    *count = rows();
    for (std::uint32_t row = 0; row < rows(); ++row)
      std::memcpy(static_cast<std::byte*>(keys) + row * sizeof(row), &row, sizeof(row));
    std::memcpy(values, words_.data(), words_.size() * sizeof(words_[0]));
    return -ENOENT;
  }
  int take_batch(void*, void*, void*, void*, std::uint32_t*) override { return -EPERM; }
  int remove(const void*) override { return -EPERM; }
  int next_key(const void* key, void* next) override {
    std::uint32_t row = 0;
    if (key != nullptr) {
      std::memcpy(&row, key, sizeof(row));
      ++row;
    }
    if (row == rows()) return -ENOENT;
    std::memcpy(next, &row, sizeof(row));
    return 0;
  }
  int lookup(const void* key, void* value) override {
    std::uint32_t row = 0;
    std::memcpy(&row, key, sizeof(row));
    std::memcpy(value, words_.data() + row * stride_ / sizeof(words_[0]), stride_);
    return 0;
  }

 private:
  [[nodiscard]] std::uint32_t rows() const {
    return static_cast<std::uint32_t>(words_.size() * sizeof(words_[0]) / stride_);
  }

  std::vector<std::uint32_t> words_;
  std::size_t stride_;
  bool has_batches_;
};

struct ValueCase {
  const char* description;
  std::uint32_t value_size;
  bool per_cpu;
  std::vector<std::uint32_t> words;  // what the kernel copies out, all rows
  std::size_t stride;
  std::vector<std::uint64_t> first_counters;  // expected, one of each row
};

const ValueCase kValues[] = {
    {"4 bytes", 4, false, {7, 8, 9, 10}, 4, {7, 8, 9, 10}},
    {"12 bytes", 12, false, {7, 1, 1, 8, 2, 2, 9, 3, 3}, 12, {7, 8, 9}},
    {"16 bytes", 16, false, {7, 1, 1, 1, 8, 2, 2, 2, 9, 3, 3, 3}, 16, {7, 8, 9}},
    {"4 bytes per CPU, padded", 4, true, {7, 0, 8, 0, 9, 0}, 8, {7, 8, 9}},
    {"12 bytes per CPU, padded", 12, true, {7, 1, 1, 0, 8, 2, 2, 0, 9, 3, 3, 0}, 16, {7, 8, 9}},
};

TEST(BatchReader, KnowsWhichValuesTheKernelPads) {
  for (const ValueCase& c : kValues) {
    for (const bool has_batches : {true, false}) {
      SCOPED_TRACE(std::string(c.description) + (has_batches ? ", batches" : ", key by key"));
      traffic::Layout layout;
      layout.map = "narrow";
      layout.key_size = 4;
      layout.value_size = c.value_size;
      layout.counters = {{"first", 0, 4}};
      reader::BatchReader reader(std::make_unique<FakeRows>(c.words, c.stride, has_batches), layout,
                                 {16, 1, c.per_cpu});
      const auto table = reader.read();
      ASSERT_TRUE(table) << table.error().what;
      std::vector<std::uint64_t> counters;
      for (std::size_t row = 0; row < table->rows(); ++row)
        counters.push_back(table->values(row)[0]);
      EXPECT_EQ(counters, c.first_counters);
    }
  }
}

TEST(BatchReader, SumsNarrowCountersAndWrapsAt64Bits) {
  Kernel kernel = kernel_with(1, 1);
  auto& values = kernel.values.begin()->second;
  values = {~0ULL, 5, 3, 6};
  auto layout = test::ipv4_layout();
  layout.counters = {{"packets", 0, 8}, {"low", 8, 4}};
  reader::BatchReader reader(std::make_unique<FakeCalls>(kernel), layout, {16, kCopies, true});
  const auto table = reader.read();
  ASSERT_TRUE(table);
  EXPECT_EQ(table->values(0)[0], 2U);
  EXPECT_EQ(table->values(0)[1], 11U);
}

TEST(BatchReader, SumsSignedNumbersOfEitherWidth) {
  Kernel kernel = kernel_with(1, 1);
  auto& values = kernel.values.begin()->second;
  values = {~0ULL, 0xfffffffbU, 3, 2};  // -1 and 3; -5 and 2
  auto layout = test::ipv4_layout();
  const auto gauge = traffic::MetricType::kGauge;
  layout.counters = {{"wide", 0, 8, traffic::Unit::kCount, gauge, true},
                     {"narrow", 8, 4, traffic::Unit::kCount, gauge, true}};
  reader::BatchReader reader(std::make_unique<FakeCalls>(kernel), layout, {16, kCopies, true});
  const auto table = reader.read();
  ASSERT_TRUE(table);
  EXPECT_EQ(static_cast<std::int64_t>(table->values(0)[0]), 2);
  EXPECT_EQ(static_cast<std::int64_t>(table->values(0)[1]), -3);
}

}  // namespace
}  // namespace nfbpf
