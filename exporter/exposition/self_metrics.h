// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "exposition/dialect.h"
#include "traffic/families.h"
#include "traffic/snapshot.h"

namespace nfbpf::exposition {

// What this binary is, for nfbpf_build_info.
struct Build {
  std::string version;
  std::string revision;
  std::string compiler;
};

// What the exporter may not do any more, for nfbpf_sandbox_info.
struct Sandbox {
  bool seccomp = false;
  int landlock = 0;  // ABI version; 0: none
};

// What --web.config.file says and whether it applies, for nfbpf_web_*.
struct Web {
  bool applies = true;    // what the files say now; else what they said before
  double applied_at = 0;  // when they were read that apply, seconds since the epoch
  std::optional<double> certificate_expires;  // the same; nothing without TLS
};

// The few families about the exporter itself: kept by a prometheus-cpp registry, written by our
// dialects.
class SelfMetrics {
 public:
  // The text of one family, head and samples, under its name, so that it can be put among the
  // others.
  struct Rendered {
    std::string name;
    std::string text;
  };

  // Without `procfs` no process_* of ours.
  SelfMetrics(const Build& build, std::optional<std::filesystem::path> procfs);
  SelfMetrics(const SelfMetrics&) = delete;
  SelfMetrics& operator=(const SelfMetrics&) = delete;
  ~SelfMetrics();

  // A reload that failed leaves the time of the last that did not.
  void note_reload(bool successful, double at);

  void note_sandbox(const Sandbox& sandbox);

  // Asked at each render() from now on. Before threads come.
  void watch_web(std::function<Web()> web) { web_ = std::move(web); }

  // Every name that render() may ever give.
  [[nodiscard]] static std::span<const std::string_view> names();

  // Families by name, as of this snapshot. Threads may come at once.
  [[nodiscard]] std::vector<Rendered> render(const Dialect& dialect,
                                             const traffic::Snapshot& snapshot,
                                             const std::vector<traffic::SkippedMap>& rejected);

 private:
  class Registered;
  std::unique_ptr<Registered> registered_;
  std::function<Web()> web_;
};

}  // namespace nfbpf::exposition
