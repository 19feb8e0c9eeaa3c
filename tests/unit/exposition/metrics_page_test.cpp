// SPDX-License-Identifier: Apache-2.0
#include "exposition/metrics_page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <functional>
#include <regex>
#include <sstream>

#include "string_sink.h"
#include "tables.h"

namespace nfbpf {
namespace {

class FakeSource final : public traffic::SnapshotSource {
 public:
  explicit FakeSource(std::function<traffic::Snapshot()> make) : make_(std::move(make)) {}
  [[nodiscard]] std::shared_ptr<const traffic::Snapshot> take() override {
    return std::make_shared<const traffic::Snapshot>(make_());
  }

 private:
  std::function<traffic::Snapshot()> make_;
};

traffic::Snapshot good_snapshot() {
  traffic::Snapshot snapshot;
  auto v4 = test::table(test::ipv4_layout());
  test::add(v4, test::ipv4_key(4, 6, "198.51.100.2", "192.0.2.1"), {18446744073709551615ULL, 60});
  test::add(v4, test::ipv4_key(2, 17, "192.0.2.1", "198.51.100.2"), {9007199254740993ULL, 1500});
  auto v6 = test::table(test::ipv6_layout());
  test::add(v6, test::ipv6_key(3, 58, "2001:db8::1", "fe80::2"), {7, 560});
  snapshot.tables.push_back(std::move(v4));
  snapshot.tables.push_back(std::move(v6));
  snapshot.maps = {{"nfbpf_ipv4", 2, 1024}, {"nfbpf_ipv6", 1, 1024}};
  snapshot.families = {{"nfbpf_source_destination", 3, 10000, false}};
  snapshot.keeping = traffic::Keeping{true, 2, 17};
  snapshot.origin = traffic::Origin{{"netfilter-link", "modules are \"forbidden\"\nhere"},
                                    {"traffic", "42", "beef", "a\\b.o", "1.0"},
                                    1700000000.25};
  snapshot.collections = {{"maps", 0.5, std::nullopt}, {"hooks", 0.25, std::nullopt}};
  snapshot.origin->sample_every = 16;
  snapshot.unaccounted = {{"ipv4", "local_out", 3}, {"ipv4", "local_in", 0}};
  snapshot.blind_seconds = 2.5;
  return snapshot;
}

traffic::Snapshot failed_snapshot() {
  traffic::Snapshot snapshot;
  snapshot.collections = {
      {"maps", 0.5, traffic::Failure{traffic::ErrorClass::kRead, Error{EIO, "map x: I/O error"}}},
      {"hooks", 0.25, std::nullopt}};
  return snapshot;
}

std::string page_of(const std::function<traffic::Snapshot()>& make,
                    const exposition::Dialect& dialect = exposition::TextDialect()) {
  FakeSource source(make);
  exposition::MetricsPage page(source, {"1.2.3", "abc", "gcc"}, "/nonexistent");
  test::StringSink sink;
  page.write(sink, dialect);
  return sink.text;
}

std::string file_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// NFBPF_UPDATE_GOLDEN=1 writes the file anew; read the difference before committing it.
void expect_golden(const std::string& page, const char* name) {
  const std::string golden = std::string(NFBPF_SOURCE_DIR "/tests/unit/exposition/") + name;
  if (std::getenv("NFBPF_UPDATE_GOLDEN") != nullptr) std::ofstream(golden) << page;
  EXPECT_EQ(page, file_text(golden));
}

TEST(MetricsPage, IsByteForByteTheGoldenPage) {
  expect_golden(page_of(good_snapshot), "golden.txt");
}

TEST(MetricsPage, IsByteForByteTheGoldenPageOfOpenMetrics) {
  expect_golden(page_of(good_snapshot, exposition::OpenMetricsDialect()), "golden_openmetrics.txt");
}

TEST(MetricsPage, IsServedWithoutTrafficWhenAReadFails) {
  const std::string page = page_of(failed_snapshot);
  EXPECT_NE(page.find("\nnfbpf_up 0\n"), std::string::npos);
  EXPECT_NE(page.find("nfbpf_scrape_success{collector=\"maps\"} 0\n"), std::string::npos);
  EXPECT_NE(page.find("nfbpf_scrape_success{collector=\"hooks\"} 1\n"), std::string::npos);
  EXPECT_NE(page.find("nfbpf_scrape_errors_total{reason=\"read\"} 1\n"), std::string::npos);
  EXPECT_NE(page.find("nfbpf_build_info{"), std::string::npos);
  EXPECT_EQ(page.find("nfbpf_source_destination"), std::string::npos);
}

TEST(MetricsPage, CountsEntriesOfMapsAlone) {
  const std::string page = page_of([] {
    auto snapshot = good_snapshot();
    auto layout = test::ipv4_layout();
    layout.map = "the module's totals";
    layout.family = "nfbpf_hook";
    auto totals = test::table(layout, 0);
    test::add(totals, test::ipv4_key(2, 6, "192.0.2.1", "192.0.2.2"), {5, 6});
    snapshot.tables.push_back(std::move(totals));
    return snapshot;
  });
  EXPECT_NE(page.find("\nnfbpf_hook_packets_total{"), std::string::npos);
  EXPECT_NE(page.find("\nnfbpf_map_entries{map=\"nfbpf_ipv4\"} 2\n"), std::string::npos);
  EXPECT_EQ(page.find("{map=\"the module's totals\"}"), std::string::npos);
}

TEST(MetricsPage, HasFamiliesByNameAndEachOnce) {
  const std::string page = page_of(good_snapshot);
  std::vector<std::string> names;
  static const std::regex type("# TYPE ([a-z_]+) (counter|gauge)\n");
  for (std::sregex_iterator at(page.begin(), page.end(), type), end; at != end; ++at)
    names.push_back((*at)[1]);
  EXPECT_GE(names.size(), 8U);
  EXPECT_TRUE(std::ranges::is_sorted(names));
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

TEST(MetricsPage, SkipsAMapThatWouldWriteAMetricOfTheExporterAgain) {
  const std::string page = page_of([] {
    auto snapshot = good_snapshot();
    auto layout = test::ipv4_layout();
    layout.map = "odd";
    layout.family = "nfbpf_scrape";
    layout.counters = {{"errors", 0, 8}};
    auto odd = test::table(layout);
    test::add(odd, test::ipv4_key(2, 6, "192.0.2.1", "192.0.2.2"), {5});
    snapshot.tables.push_back(std::move(odd));
    return snapshot;
  });
  const std::string head = "# TYPE nfbpf_scrape_errors_total counter\n";
  ASSERT_NE(page.find(head), std::string::npos);
  EXPECT_EQ(page.find(head), page.rfind(head));
  EXPECT_EQ(page.find("nfbpf_scrape_errors_total{destination="), std::string::npos);
  EXPECT_NE(page.find("\nnfbpf_maps_skipped 1\n"), std::string::npos);
}

TEST(MetricsPage, KnowsEachNameOfItsOwn) {
  FakeSource source([] {
    auto snapshot = failed_snapshot();
    snapshot.tables = good_snapshot().tables;
    snapshot.origin = good_snapshot().origin;
    snapshot.origin->last_swap_successful = true;
    snapshot.flowtables = 1;
    snapshot.unaccounted = good_snapshot().unaccounted;
    snapshot.maps = good_snapshot().maps;
    snapshot.families = good_snapshot().families;
    snapshot.keeping = good_snapshot().keeping;
    snapshot.blind_seconds = good_snapshot().blind_seconds;
    return snapshot;
  });
  exposition::SelfMetrics self({}, "/proc");
  self.note_sandbox({true, 1});
  self.watch_web([] { return exposition::Web{true, 1, 2}; });
  std::vector<std::string_view> names;
  const auto texts = self.render(exposition::TextDialect(), *source.take(), {});
  for (const auto& own : texts) names.push_back(own.name);
  EXPECT_TRUE(std::ranges::equal(names, exposition::SelfMetrics::names()));
}

TEST(MetricsPage, SaysWhatTheWebConfigurationIs) {
  FakeSource source(good_snapshot);
  exposition::MetricsPage page(source, {}, std::nullopt);
  const auto text = [&] {
    test::StringSink sink;
    page.write(sink, exposition::TextDialect());
    return sink.text;
  };
  EXPECT_EQ(text().find("nfbpf_web_"), std::string::npos);
  exposition::Web web{true, 1700000000, std::nullopt};
  page.watch_web([&web] { return web; });
  EXPECT_NE(text().find("\nnfbpf_web_config_last_reload_successful 1\n"), std::string::npos);
  EXPECT_EQ(text().find("nfbpf_web_tls_"), std::string::npos);
  web = {false, 1700000000, 1800000000};
  EXPECT_NE(text().find("\nnfbpf_web_config_last_reload_successful 0\n"), std::string::npos);
  EXPECT_NE(text().find("\nnfbpf_web_config_last_reload_success_timestamp_seconds 1700000000\n"),
            std::string::npos);
  EXPECT_NE(text().find("\nnfbpf_web_tls_certificate_expiry_timestamp_seconds 1800000000\n"),
            std::string::npos);
}

TEST(MetricsPage, SaysWhetherItIsReady) {
  FakeSource good(good_snapshot);
  EXPECT_TRUE(exposition::MetricsPage(good, {}, "/nonexistent").ready());
  FakeSource failed(failed_snapshot);
  const auto ready = exposition::MetricsPage(failed, {}, "/nonexistent").ready();
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().what, "map x: I/O error");
}

TEST(MetricsPage, StreamsManyRowsInChunksAndStopsWhenTheReaderIsGone) {
  FakeSource source([] {
    traffic::Snapshot snapshot;
    snapshot.collections = {{"maps", 0, std::nullopt}};
    auto table = test::table(test::ipv4_layout());
    auto key = test::ipv4_key(2, 6, "10.0.0.1", "10.0.0.2");
    for (int i = 0; i < 50000; ++i) {
      key[5] = std::byte(i >> 16), key[6] = std::byte(i >> 8), key[7] = std::byte(i);
      test::add(table, key, {1, 2});
    }
    snapshot.tables.push_back(std::move(table));
    return snapshot;
  });
  exposition::MetricsPage page(source, {}, "/nonexistent");
  test::StringSink whole;
  page.write(whole, exposition::TextDialect());
  EXPECT_LE(whole.largest, exposition::Page::kChunk);
  EXPECT_GT(whole.writes, 100U);
  test::StringSink gone(3);
  page.write(gone, exposition::TextDialect());
  EXPECT_EQ(gone.writes, 3U);
  EXPECT_TRUE(gone.text.starts_with("# HELP"));
}

}  // namespace
}  // namespace nfbpf
