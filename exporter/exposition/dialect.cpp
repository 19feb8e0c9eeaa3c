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

}  // namespace nfbpf::exposition
