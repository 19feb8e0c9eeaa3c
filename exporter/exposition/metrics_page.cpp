// SPDX-License-Identifier: Apache-2.0
#include "exposition/metrics_page.h"

#include <spdlog/spdlog.h>

#include "exposition/family_text.h"
#include "traffic/families.h"

namespace nfbpf::exposition {

MetricsPage::MetricsPage(traffic::SnapshotSource& source, const Build& build,
                         std::optional<std::filesystem::path> procfs)
    : source_(source), self_(build, std::move(procfs)) {}

std::shared_ptr<const traffic::Snapshot> MetricsPage::take() {
  auto snapshot = source_.take();
  log_changes(*snapshot);
  log_skipped(snapshot->skipped);
  return snapshot;
}

void MetricsPage::write(Sink& sink, const Dialect& dialect) {
  const auto snapshot = take();
  const auto set = traffic::FamilySet::build(snapshot->tables, SelfMetrics::names());
  log_skipped(set.rejected());
  const auto own = self_.render(dialect, *snapshot, set.rejected());

  Page page(sink);
  auto next = own.begin();
  for (const traffic::Family& family : set.families()) {
    for (; next != own.end() && next->name < family.name; ++next) page.text(next->text);
    write_family(page, dialect, family);
  }
  for (; next != own.end(); ++next) page.text(next->text);
  dialect.end(page);
  page.flush();
}

Result<void> MetricsPage::ready() {
  const auto snapshot = take();
  for (const traffic::Collection& c : snapshot->collections)
    if (c.failure) return tl::unexpected(c.failure->error);
  if (!snapshot->counting) return fail("nothing counts: the links of the datapath are gone");
  return {};
}

// A failure is logged when it begins and when it changes, not at every scrape; and its end is
// logged.
void MetricsPage::log_changes(const traffic::Snapshot& snapshot) {
  const std::lock_guard lock(log_mutex_);
  for (const traffic::Collection& c : snapshot.collections) {
    const std::string now = c.failure ? c.failure->error.what : "";
    std::string& before = logged_[c.collector];
    if (now == before) continue;
    if (c.failure)
      spdlog::error("collector {}: {}", c.collector, now);
    else
      spdlog::info("collector {}: reads again", c.collector);
    before = now;
  }
}

void MetricsPage::log_skipped(const std::vector<traffic::SkippedMap>& skipped) {
  const std::lock_guard lock(log_mutex_);
  for (const traffic::SkippedMap& map : skipped) {
    std::string& before = logged_["map " + map.map];
    if (before != map.why) spdlog::warn("not shown: {}", map.why);
    before = map.why;
  }
}

}  // namespace nfbpf::exposition
