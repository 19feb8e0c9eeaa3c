// SPDX-License-Identifier: Apache-2.0
#include "http/basic_auth.h"

#include <crypt.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <atomic>
#include <thread>
#include <vector>

namespace nfbpf::http {
namespace {

using Verdict = BasicAuth::Verdict;

std::string hash_of(const char* password, const char* setting = "$2y$04$abcdefghijklmnopqrstuu") {
  crypt_data data{};
  return ::crypt_r(password, setting, &data);
}

std::string basic(const std::string& text) {
  std::string coded((text.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(coded.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  coded.resize(static_cast<std::size_t>(size));
  return "Basic " + coded;
}

TEST(BasicAuth, AnybodyMayWhereThereAreNoUsers) {
  BasicAuth auth;
  EXPECT_EQ(auth.check({}, ""), Verdict::kYes);
}

TEST(BasicAuth, TheRightPasswordAlone) {
  BasicAuth auth;
  const std::map<std::string, std::string> users = {{"ada", hash_of("secret")},
                                                    {"bob", hash_of("other:one")}};
  for (int i = 0; i < 2; ++i) {  // computed, and remembered
    EXPECT_EQ(auth.check(users, basic("ada:secret")), Verdict::kYes);
    EXPECT_EQ(auth.check(users, basic("bob:other:one")), Verdict::kYes);
    for (const char* wrong : {"ada:", "ada:secret2", "ada:other:one", "ada", "", "bob:secret",
                              "adas:ecret", "eve:secret", "ada:secre"})
      EXPECT_EQ(auth.check(users, basic(wrong)), Verdict::kNo) << wrong;
  }
  EXPECT_EQ(auth.check(users, "basic " + basic("ada:secret").substr(6)), Verdict::kYes);
}

TEST(BasicAuth, WhatIsNoBasicAuthentication) {
  BasicAuth auth;
  const std::map<std::string, std::string> users = {{"ada", hash_of("secret")}};
  for (const char* header : {"", "Basic", "Basic ", "Bearer YWRhOnNlY3JldA==", "Basic !!!!",
                             "Basic YWRhOnNlY3JldA", "Basic YWRhOnNlY3JldA==x"})
    EXPECT_EQ(auth.check(users, header), Verdict::kNo) << header;
  EXPECT_EQ(auth.check(users, "Basic " + std::string(100'000, 'A')), Verdict::kNo);
}

// bcrypt looks at neither what is behind a NUL nor at more than 72 bytes.
TEST(BasicAuth, APasswordIsComparedAsAWhole) {
  BasicAuth auth;
  const std::string longest(72, 'x');
  const std::map<std::string, std::string> users = {{"ada", hash_of("secret")},
                                                    {"bob", hash_of(longest.c_str())}};
  EXPECT_EQ(auth.check(users, basic(std::string("ada:secret\0more", 15))), Verdict::kNo);
  EXPECT_EQ(auth.check(users, basic("bob:" + longest)), Verdict::kYes);
  EXPECT_EQ(auth.check(users, basic("bob:" + longest + "y")), Verdict::kNo);
}

TEST(BasicAuth, AnotherHashForgetsWhatWasRight) {
  BasicAuth auth;
  EXPECT_EQ(auth.check({{"ada", hash_of("old")}}, basic("ada:old")), Verdict::kYes);
  EXPECT_EQ(auth.check({{"ada", hash_of("new")}}, basic("ada:old")), Verdict::kNo);
  EXPECT_EQ(auth.check({{"eve", hash_of("x")}}, basic("ada:old")), Verdict::kNo);
}

// Who knows no password must not take all threads; who was right is served meanwhile.
TEST(BasicAuth, ABurstOfGuessesLeavesRoomForWhoWasRight) {
  BasicAuth auth;
  const std::map<std::string, std::string> users = {
      {"ada", hash_of("secret", "$2y$09$abcdefghijklmnopqrstuu")}};
  ASSERT_EQ(auth.check(users, basic("ada:secret")), Verdict::kYes);
  std::atomic<int> busy = 0;
  std::vector<std::thread> guesses;
  for (int i = 0; i < 64; ++i)
    guesses.emplace_back([&, i] {
      const auto verdict = auth.check(users, basic("ada:guess" + std::to_string(i)));
      EXPECT_NE(verdict, Verdict::kYes);
      busy += verdict == Verdict::kBusy;
    });
  for (int i = 0; i < 100; ++i) EXPECT_EQ(auth.check(users, basic("ada:secret")), Verdict::kYes);
  for (std::thread& guess : guesses) guess.join();
  EXPECT_GT(busy, 0);
}

}  // namespace
}  // namespace nfbpf::http
