// SPDX-License-Identifier: Apache-2.0
#include "exposition/dialect.h"

#include "exposition/label_text.h"

namespace nfbpf::exposition {

void TextDialect::head(Page& page, std::string_view name, MetricType type,
                       std::string_view help) const {
  page.text("# HELP ");
  page.text(name);
  page.put(' ');
  write_help(page, help);
  page.text("\n# TYPE ");
  page.text(name);
  page.text(type == MetricType::kCounter ? " counter\n" : " gauge\n");
}

}  // namespace nfbpf::exposition
