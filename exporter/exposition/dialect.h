// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "exposition/page.h"
#include "traffic/table.h"

namespace nfbpf::exposition {

using traffic::MetricType;

// What two exposition formats write differently: the head of a family, the end of the page and the
// content type. Samples of counters and gauges are the same bytes in both.
class Dialect {
 public:
  Dialect() = default;
  Dialect(const Dialect&) = delete;
  Dialect& operator=(const Dialect&) = delete;
  virtual ~Dialect() = default;

  [[nodiscard]] virtual std::string_view content_type() const = 0;
  // `name` of a counter has its _total.
  virtual void head(Page& page, std::string_view name, MetricType type,
                    std::string_view help) const = 0;
  virtual void end(Page& page) const = 0;
};

// Prometheus text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
class TextDialect final : public Dialect {
 public:
  [[nodiscard]] std::string_view content_type() const override {
    return "text/plain; version=0.0.4; charset=utf-8";
  }
  void head(Page& page, std::string_view name, MetricType type,
            std::string_view help) const override;
  void end(Page&) const override {}
};

// OpenMetrics 1.0 (github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md).
// Bounds of buckets are written as in the text format, so that a series has one name in both.
class OpenMetricsDialect final : public Dialect {
 public:
  [[nodiscard]] std::string_view content_type() const override {
    return "application/openmetrics-text; version=1.0.0; charset=utf-8";
  }
  void head(Page& page, std::string_view name, MetricType type,
            std::string_view help) const override;
  void end(Page& page) const override { page.text("# EOF\n"); }
};

}  // namespace nfbpf::exposition
