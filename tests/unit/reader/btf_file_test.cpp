// SPDX-License-Identifier: Apache-2.0
#include "reader/btf_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "folder.h"

namespace nfbpf::reader {
namespace {

constexpr const char* kSha256OfAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(BtfFile, IsReadWhenTheChecksumIsRight) {
  const test::Folder folder;
  std::ofstream(folder.path() / "f") << "abc";
  const auto bytes = read_btf_file(folder.path() / "f", kSha256OfAbc);
  ASSERT_TRUE(bytes) << bytes.error().what;
  EXPECT_EQ(bytes->size(), 3U);
}

TEST(BtfFile, IsRefusedByItsChecksum) {
  const test::Folder folder;
  const auto path = folder.path() / "f";
  std::ofstream(path) << "abd";
  const auto bytes = read_btf_file(path, kSha256OfAbc);
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().what,
            path.string() +
                ": sha256 is a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9, "
                "the manifest says " +
                kSha256OfAbc + "; load again");
}

TEST(BtfFile, ThatIsMissingIsNamed) {
  const auto bytes = read_btf_file("/nonexistent/f", kSha256OfAbc);
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().what,
            "/nonexistent/f: cannot read the map's BTF: No such file or directory");
}

}  // namespace
}  // namespace nfbpf::reader
