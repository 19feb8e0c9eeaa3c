// SPDX-License-Identifier: Apache-2.0
#include "exposition/dialect.h"

#include "exposition/label_text.h"

namespace nfbpf::exposition {

namespace {

std::string_view type_word(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kHistogram:
      return "histogram";
  }
  return "untyped";
}

// Base units of Prometheus that our families end in.
std::string_view unit_of(std::string_view name) {
  for (const std::string_view unit : {"bytes", "seconds"})
    if (name.size() > unit.size() && name.ends_with(unit) &&
        name[name.size() - unit.size() - 1] == '_')
      return unit;
  return {};
}

}  // namespace

void TextDialect::head(Page& page, std::string_view name, MetricType type,
                       std::string_view help) const {
  page.text("# HELP ");
  page.text(name);
  page.put(' ');
  write_help(page, help);
  page.text("\n# TYPE ");
  page.text(name);
  page.put(' ');
  page.text(type_word(type));
  page.put('\n');
}

void OpenMetricsDialect::head(Page& page, std::string_view name, MetricType type,
                              std::string_view help) const {
  constexpr std::string_view kTotal = "_total";
  if (type == MetricType::kCounter && name.ends_with(kTotal)) name.remove_suffix(kTotal.size());
  page.text("# TYPE ");
  page.text(name);
  page.put(' ');
  page.text(type_word(type));
  if (const auto unit = unit_of(name); !unit.empty()) {
    page.text("\n# UNIT ");
    page.text(name);
    page.put(' ');
    page.text(unit);
  }
  page.text("\n# HELP ");
  page.text(name);
  page.put(' ');
  write_label_value(page, help);  // the same escapes
  page.put('\n');
}

}  // namespace nfbpf::exposition
