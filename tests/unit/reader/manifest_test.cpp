// SPDX-License-Identifier: Apache-2.0
#include "reader/manifest.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace nfbpf::reader {
namespace {

const std::string kGood = R"({
  "abi": {"major": 1, "minor": 0}, "datapath": "kmod", "datapath_reason": "it loads",
  "refused": [], "choices": {"sample_every": 16}, "pin_dir": "/sys/fs/bpf/nfbpf", "loaded_at": 1700000000.5,
  "program": {"name": "traffic", "id": 42, "tag": "beef", "object": "traffic.bpf.o"},
  "maps": [
    {"name": "nfbpf_ipv4", "pin": "/sys/fs/bpf/nfbpf/maps/nfbpf_ipv4", "id": 7, "type": "percpu_hash",
     "key_size": 12, "value_size": 16, "max_entries": 1024, "key_type_id": 3, "value_type_id": 4,
     "btf": "btf/aa.btf", "btf_sha256": "aa"},
    {"name": ".rodata", "pin": "", "id": 8, "type": 2}]})";

TEST(Manifest, ReadsWhatTheLoaderWrites) {
  const auto manifest = parse_manifest(kGood, "state.json", "/run/nfbpf");
  ASSERT_TRUE(manifest) << manifest.error().error.what;
  EXPECT_EQ(manifest->origin.datapath.name, "kmod");
  EXPECT_EQ(manifest->origin.program.id, "42");
  EXPECT_EQ(manifest->origin.program.abi, "1.0");
  EXPECT_EQ(manifest->origin.sample_every, 16U);
  ASSERT_EQ(manifest->maps.size(), 1U) << "a map without a pin is none of ours";
  EXPECT_EQ(manifest->maps[0].btf, "/run/nfbpf/btf/aa.btf");
  EXPECT_EQ(manifest->maps[0].max_entries, 1024U);
}

TEST(Manifest, TellsWhyNoOtherDatapathWasTaken) {
  std::string text = kGood;
  text.replace(text.find(R"("refused": [])"), 13,
               R"("refused": [{"datapath": "kmod", "reason": "locked down"}])");
  const auto manifest = parse_manifest(text, "state.json", "/run/nfbpf");
  ASSERT_TRUE(manifest) << manifest.error().error.what;
  EXPECT_EQ(manifest->origin.datapath.reason, "it loads; not kmod: locked down");
}

ManifestMap second_with(const std::string& first_sha, const std::string& more) {
  std::string text = kGood;
  const std::string second = R"({"name": "nfbpf_ipv4_b", "pin": "/b", "id": 9, "type": "hash",
     "key_size": 12, "value_size": 16, "max_entries": 1024, "key_type_id": 3, "value_type_id": 4,
     "btf": "btf/aa.btf", "btf_sha256": ")" +
                             first_sha + "\"" + more + "}, ";
  text.insert(text.find(R"({"name": ".rodata")"), second);
  auto manifest = parse_manifest(text, "state.json", "/run/nfbpf");
  EXPECT_TRUE(manifest) << manifest.error().error.what;
  EXPECT_EQ(manifest->maps[0].may_be_noted, manifest->maps[1].may_be_noted);
  EXPECT_EQ(manifest->maps[0].is_buffer, manifest->maps[1].is_buffer);
  return manifest->maps[1];
}

TEST(Manifest, KnowsWhatIsABufferAndWhatMayHaveBeenOne) {
  const ManifestMap chosen = second_with("aa", R"(, "second_of": "nfbpf_ipv4")");
  EXPECT_TRUE(chosen.is_buffer);
  EXPECT_EQ(chosen.maybe_second_of, "");
  const ManifestMap before = second_with("aa", R"(, "second_of": "")");
  EXPECT_FALSE(before.is_buffer);
  EXPECT_TRUE(before.may_be_noted);
  EXPECT_EQ(before.maybe_second_of, "nfbpf_ipv4");
  const ManifestMap other = second_with("bb", "");
  EXPECT_TRUE(other.may_be_noted);
  EXPECT_EQ(other.maybe_second_of, "") << "of another object";
  EXPECT_FALSE(parse_manifest(kGood, "state.json", "/run")->maps[0].may_be_noted);
}

TEST(Manifest, RefusesAnotherAbiByName) {
  const auto manifest = parse_manifest(R"({"abi": {"major": 2, "minor": 5}, "anything": "else"})",
                                       "state.json", "/run");
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind, traffic::ErrorClass::kAbi);
  EXPECT_EQ(
      manifest.error().error.what,
      "state.json: ABI major 2 was loaded, this exporter reads ABI major 1; load again with the "
      "nfbpf-load of this version");
}

TEST(Manifest, KnowsHowTheLastSwapWent) {
  const std::filesystem::path dir = std::filesystem::path(testing::TempDir()) / "last_swap";
  std::filesystem::create_directories(dir);
  const auto noted = [&dir](const char* text) {
    std::ofstream(dir / kSwapFile) << text;
    return last_swap_successful(dir);
  };
  EXPECT_EQ(noted(R"({"successful": false, "error": "verifier", "at": 1.5})"), false);
  EXPECT_EQ(noted(R"({"successful": true, "error": ""})"), true);
  for (const char* wrong : {"", "{", "[]", "{}", R"({"successful": 1})"})
    EXPECT_EQ(noted(wrong), std::nullopt) << wrong;
  std::filesystem::remove_all(dir);
  EXPECT_EQ(last_swap_successful(dir), std::nullopt);
}

TEST(Manifest, SaysThatNothingIsLoaded) {
  const auto manifest = read_manifest("/nonexistent");
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind, traffic::ErrorClass::kNotLoaded);
  EXPECT_EQ(manifest.error().error.what,
            "/nonexistent/state.json: nothing is loaded; run nfbpf-load");
}

TEST(Manifest, RefusesEveryTruncationAndWrongType) {
  for (std::size_t length = 0; length < kGood.size(); ++length) {
    const auto manifest = parse_manifest(kGood.substr(0, length), "state.json", "/run");
    ASSERT_FALSE(manifest) << length;
    EXPECT_EQ(manifest.error().kind, traffic::ErrorClass::kManifest);
    EXPECT_EQ(manifest.error().error.what.find('\n'), std::string::npos);
  }
  for (const char* wrong : {"[]", "3", R"({"abi": 1})", R"({"abi": {"major": "1", "minor": 0}})",
                            R"({"abi": {"major": -1, "minor": 0}})"})
    EXPECT_FALSE(parse_manifest(wrong, "state.json", "/run")) << wrong;
}

}  // namespace
}  // namespace nfbpf::reader
