// SPDX-License-Identifier: Apache-2.0
#include "exposition/page.h"

#include <gtest/gtest.h>

#include <limits>

#include "string_sink.h"

namespace nfbpf::exposition {
namespace {

TEST(Page, CutsAnyLengthIntoChunks) {
  test::StringSink sink;
  Page page(sink);
  std::string expected;
  for (int i = 0; i < 50000; ++i) {
    const std::string piece = "line " + std::to_string(i) + "\n";
    page.text(piece);
    expected += piece;
  }
  const std::string long_piece(3 * Page::kChunk + 7, 'x');
  page.text(long_piece);
  page.flush();
  EXPECT_EQ(sink.text, expected + long_piece);
  EXPECT_EQ(sink.largest, Page::kChunk);
}

TEST(Page, WritesNumbersExactly) {
  const auto text = test::written([](Page& page) {
    page.number(std::numeric_limits<std::uint64_t>::max());
    page.put(' ');
    page.number(std::uint64_t{9007199254740993});  // 2^53 + 1
    page.put(' ');
    page.number(0.1);
  });
  EXPECT_EQ(text, "18446744073709551615 9007199254740993 0.1");
}

TEST(Page, StopsAtASinkThatIsGone) {
  test::StringSink sink(1);
  Page page(sink);
  const std::string chunk(Page::kChunk, 'x');
  page.text(chunk);
  page.text(chunk);
  EXPECT_TRUE(page.open());
  page.text(chunk);
  EXPECT_FALSE(page.open());
  page.text(chunk);
  page.flush();
  EXPECT_EQ(sink.writes, 1U);
}

}  // namespace
}  // namespace nfbpf::exposition
