// SPDX-License-Identifier: Apache-2.0
#include "http/web_access.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "folder.h"

namespace nfbpf::http {
namespace {

using Users = std::map<std::string, std::string>;

// A file of users, one name a line, as an editor writes it: it is there, and has what it has.
class WebAccessTest : public testing::Test {
 protected:
  void write(const Users& users) const {
    std::ofstream file(file_, std::ios::trunc);
    for (const auto& [name, hash] : users) file << name << ' ' << hash << '\n';
  }

  [[nodiscard]] std::unique_ptr<WebAccess> open() const {
    auto access = WebAccess::open(file_, [this]() -> Result<WebConfig> {
      WebConfig config;
      std::ifstream file(file_);
      for (std::string name, hash; file >> name >> hash;) config.users[name] = hash;
      return config;
    });
    EXPECT_TRUE(access);
    return std::move(*access);
  }

  // Once it has looked again.
  static Users users_of(WebAccess& access) {
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
    return access.now()->config.users;
  }

  test::Folder folder_;
  std::filesystem::path file_ = folder_.path() / "web.yaml";
};

TEST_F(WebAccessTest, TakesOtherUsers) {
  write({});
  const auto access = open();
  const Users one = {{"ada", "1"}};
  const Users two = {{"ada", "2"}, {"bob", "3"}};
  EXPECT_EQ(users_of(*access), Users());
  write(one);
  EXPECT_EQ(users_of(*access), one);
  write(two);
  EXPECT_EQ(users_of(*access), two);
  EXPECT_TRUE(access->applies());
}

TEST_F(WebAccessTest, AFileThatIsEmptyForAWhileLetsNobodyIn) {
  const Users before = {{"ada", "1"}};
  const Users after = {{"ada", "22"}};
  write(before);
  const auto access = open();
  write({});
  EXPECT_EQ(users_of(*access), before);
  EXPECT_FALSE(access->applies());
  write(after);
  EXPECT_EQ(users_of(*access), after);
  EXPECT_TRUE(access->applies());
}

}  // namespace
}  // namespace nfbpf::http
