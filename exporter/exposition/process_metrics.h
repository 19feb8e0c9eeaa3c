// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <dirent.h>
#include <prometheus/collectable.h>

#include <filesystem>
#include <memory>
#include <mutex>

#include "base/unique_fd.h"

namespace nfbpf::exposition {

// The process_* families of this process, as client libraries name them, from <procfs>/self. What
// cannot be read is left out. Opens its files once: to a process that has given up its privileges
// they may be closed.
class ProcessMetrics final : public prometheus::Collectable {
 public:
  explicit ProcessMetrics(const std::filesystem::path& procfs);
  // Threads may come at once.
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  [[nodiscard]] double open_descriptors() const;

  UniqueFd stat_;
  UniqueFd limits_;
  std::unique_ptr<DIR, int (*)(DIR*)> descriptors_;
  mutable std::mutex reading_descriptors_;
  double booted_at_ = 0;  // seconds since the epoch
};

}  // namespace nfbpf::exposition
