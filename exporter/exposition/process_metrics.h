// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/collectable.h>

#include <filesystem>

namespace nfbpf::exposition {

// The process_* families of this process, as client libraries name them, from <procfs>/self. What
// cannot be read is left out.
class ProcessMetrics final : public prometheus::Collectable {
 public:
  explicit ProcessMetrics(std::filesystem::path procfs);
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  std::filesystem::path procfs_;
  double booted_at_ = 0;  // seconds since the epoch
};

}  // namespace nfbpf::exposition
