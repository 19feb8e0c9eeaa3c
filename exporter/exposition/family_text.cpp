// SPDX-License-Identifier: Apache-2.0
#include "exposition/family_text.h"

#include <algorithm>
#include <string>
#include <vector>

#include "exposition/label_text.h"

namespace nfbpf::exposition {
namespace {

// What stands before each label value, made once per table: `name{first="`, `",second="`.
std::vector<std::string> openings(const traffic::Family& family, const traffic::View& view) {
  const auto& labels = view.table->layout().labels;
  std::vector<std::string> texts;
  for (const std::uint32_t label : view.labels)
    texts.push_back((texts.empty() ? family.name + "{" : "\",") + labels[label].name + "=\"");
  return texts;
}

// Nanoseconds are whole, so seconds are exact with nine digits behind the point.
void write_seconds(Page& page, std::uint64_t nanoseconds) {
  constexpr std::uint64_t kPerSecond = 1'000'000'000;
  page.number(nanoseconds / kPerSecond);
  page.put('.');
  std::uint64_t rest = nanoseconds % kPerSecond;
  for (std::uint64_t digit = kPerSecond / 10; digit != 0; digit /= 10) {
    page.put(static_cast<char>('0' + rest / digit));
    rest %= digit;
  }
}

void write_value(Page& page, traffic::Unit unit, std::uint64_t value) {
  if (unit == traffic::Unit::kNanoseconds)
    write_seconds(page, value);
  else
    page.number(value);
}

void write_rows(Page& page, const traffic::Family& family, const traffic::Part& part) {
  const traffic::View& view = *part.view;
  const auto& labels = view.table->layout().labels;
  const auto texts = openings(family, view);
  const traffic::Unit unit = view.table->layout().counters[part.counter].unit;
  const std::string_view closing = texts.empty() ? " " : "\"} ";
  for (const std::uint32_t row : view.rows) {
    if (texts.empty()) page.text(family.name);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      page.text(texts[i]);
      write_field(page, labels[view.labels[i]], view.table->key(row));
    }
    page.text(closing);
    write_value(page, unit, view.table->values(row)[part.counter]);
    page.put('\n');
    if (!page.open()) return;
  }
}

}  // namespace

void write_family(Page& page, const Dialect& dialect, const traffic::Family& family) {
  const bool empty = std::ranges::all_of(
      family.parts, [](const traffic::Part& part) { return part.view->rows.empty(); });
  if (empty) return;
  dialect.head(page, family.name, MetricType::kCounter, family.help);
  for (const traffic::Part& part : family.parts) write_rows(page, family, part);
}

}  // namespace nfbpf::exposition
