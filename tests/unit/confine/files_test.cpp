// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "confine/confine.h"
#include "folder.h"

namespace nfbpf::confine {
namespace {

namespace fs = std::filesystem;

// Whether what is in `folder` may be read if `folders_behind(file)` are allowed.
bool covers(const fs::path& file, const fs::path& folder) {
  return std::ranges::any_of(folders_behind(file), [&](const fs::path& allowed) {
    return fs::exists(allowed) && fs::equivalent(allowed, folder);
  });
}

TEST(FoldersBehind, AFileThatIsNoLinkHasOne) {
  const test::Folder folder;
  std::ofstream(folder.path() / "file") << "x";
  EXPECT_EQ(folders_behind(folder.path() / "file"), std::vector<fs::path>{folder.path()});
}

TEST(FoldersBehind, FollowsLinksFromOneToTheNext) {
  const test::Folder folder;
  const fs::path at = folder.path();
  for (const char* name : {"live/x", "archive/x", "store"}) fs::create_directories(at / name);
  std::ofstream(at / "store/file") << "x";
  fs::create_symlink(at / "store/file", at / "archive/x/key1.pem");
  fs::create_symlink("../../archive/x/key1.pem", at / "live/x/key.pem");
  for (const char* name : {"live/x", "archive/x", "store"})
    EXPECT_TRUE(covers(at / "live/x/key.pem", at / name)) << name;
  EXPECT_FALSE(covers(at / "live/x/key.pem", at));
}

// "a/.." is the folder of what the link a points to.
TEST(FoldersBehind, TakesDotsForWhatTheKernelTakesThemFor) {
  const test::Folder folder;
  const fs::path at = folder.path();
  fs::create_directories(at / "far/away");
  fs::create_symlink(at / "far/away", at / "near");
  fs::create_directories(at / "elsewhere");
  fs::create_symlink(at / "elsewhere/file", at / "far/link");
  EXPECT_TRUE(covers(at / "near/../link", at / "elsewhere"));
}

TEST(FoldersBehind, OfAFolderThatIsALinkThatAboveItsTarget) {
  const test::Folder folder;
  const fs::path at = folder.path();
  fs::create_directories(at / "releases/1");
  fs::create_symlink("releases/1", at / "current");
  EXPECT_TRUE(covers(at / "current/file", at / "releases"));
  EXPECT_FALSE(covers(at / "current/file", at));
}

TEST(FoldersBehind, NeverTheWholeFileSystem) {
  const test::Folder folder;
  fs::create_symlink("/nonexistent", folder.path() / "link");
  EXPECT_FALSE(covers(folder.path() / "link/file", "/"));
}

TEST(FoldersBehind, EndsWhereLinksDoNot) {
  const test::Folder folder;
  fs::create_symlink("link", folder.path() / "link");
  EXPECT_TRUE(covers(folder.path() / "link", folder.path()));
}

TEST(CheckReadable, NamesTheFile) {
  const test::Folder folder;
  std::ofstream(folder.path() / "there") << "x";
  EXPECT_TRUE(check_readable({folder.path() / "there"}));
  const auto gone = check_readable({folder.path() / "there", folder.path() / "gone"});
  ASSERT_FALSE(gone);
  EXPECT_NE(gone.error().what.find((folder.path() / "gone").string()), std::string::npos);
}

}  // namespace
}  // namespace nfbpf::confine
