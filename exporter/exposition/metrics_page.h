// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "exposition/dialect.h"
#include "exposition/page.h"
#include "exposition/self_metrics.h"
#include "traffic/snapshot.h"

namespace nfbpf::exposition {

// The page at /metrics: takes a snapshot, then renders it. Threads may come at once.
class MetricsPage {
 public:
  MetricsPage(traffic::SnapshotSource& source, const Build& build,
              std::optional<std::filesystem::path> procfs);

  // Families by name. A snapshot that is not complete gives the page without the failed collector's
  // series.
  void write(Sink& sink, const Dialect& dialect);

  // That the configuration was read at that time (seconds since the epoch), or could not be.
  void note_reload(bool successful, double at) { self_.note_reload(successful, at); }

  void note_sandbox(const Sandbox& sandbox) { self_.note_sandbox(sandbox); }

  // Asked at each page from now on. Before threads come.
  void watch_web(std::function<Web()> web) { self_.watch_web(std::move(web)); }

  // Whether a snapshot taken now is complete; else why not. Logs like write().
  [[nodiscard]] Result<void> ready();

 private:
  std::shared_ptr<const traffic::Snapshot> take();
  void log_changes(const traffic::Snapshot& snapshot);
  void log_skipped(const std::vector<traffic::SkippedMap>& skipped);

  traffic::SnapshotSource& source_;
  SelfMetrics self_;
  std::mutex log_mutex_;
  std::map<std::string, std::string>
      logged_;  // by collector or map: the error that was logged last
};

}  // namespace nfbpf::exposition
