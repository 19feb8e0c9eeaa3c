// SPDX-License-Identifier: Apache-2.0
#include "exposition/family_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <vector>

#include "exposition/label_text.h"

namespace nfbpf::exposition {
namespace {

// The text of a series around its label values, made once per table.
struct SeriesText {
  std::string bare;                   // without labels: `name`
  std::vector<std::string> openings;  // before each value: `name{first="`, `",second="`
};

SeriesText series_text(const std::string& name, const traffic::View& view) {
  SeriesText text{name, {}};
  const auto& labels = view.table->layout().labels;
  for (const std::uint32_t label : view.labels)
    text.openings.push_back((text.openings.empty() ? name + "{" : "\",") + labels[label].name +
                            "=\"");
  return text;
}

// Up to the last label's value.
void write_series(Page& page, const SeriesText& text, const traffic::View& view,
                  std::uint32_t row) {
  if (text.openings.empty()) page.text(text.bare);
  const auto& labels = view.table->layout().labels;
  for (std::size_t i = 0; i < text.openings.size(); ++i) {
    page.text(text.openings[i]);
    write_field(page, labels[view.labels[i]], view.table->key(row));
  }
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

void write_signed_value(Page& page, traffic::Unit unit, std::int64_t value) {
  if (value >= 0) return write_value(page, unit, static_cast<std::uint64_t>(value));
  page.put('-');
  write_value(page, unit, -static_cast<std::uint64_t>(value));
}

void write_rows(Page& page, const traffic::Family& family, const traffic::Part& part) {
  const traffic::View& view = *part.view;
  const SeriesText text = series_text(family.name, view);
  const traffic::Counter& counter = view.table->layout().counters[part.index];
  const std::string_view closing = text.openings.empty() ? " " : "\"} ";
  for (const std::uint32_t row : view.rows) {
    write_series(page, text, view, row);
    page.text(closing);
    const std::uint64_t value = view.table->values(row)[part.index];
    if (counter.is_signed)
      write_signed_value(page, counter.unit, static_cast<std::int64_t>(value));
    else
      write_value(page, counter.unit, value);
    page.put('\n');
    if (!page.open()) return;
  }
}

// What ends each bucket's series, the one without a bound last: `",le="1.0"} `.
std::vector<std::string> bucket_closings(const traffic::Histogram& histogram, bool has_labels) {
  const std::string before = has_labels ? "\",le=\"" : "{le=\"";
  const double scale = histogram.unit == traffic::Unit::kNanoseconds ? 1e9 : 1;
  std::vector<std::string> closings;
  for (const std::uint64_t bound : histogram.bounds)
    closings.push_back(before + bound_text(static_cast<double>(bound) / scale) + "\"} ");
  closings.push_back(before + "+Inf\"} ");
  return closings;
}

void write_histograms(Page& page, const traffic::Family& family, const traffic::Part& part) {
  const traffic::View& view = *part.view;
  const traffic::Histogram& histogram = view.table->layout().histograms[part.index];
  const SeriesText bucket = series_text(family.name + "_bucket", view);
  const SeriesText sum = series_text(family.name + "_sum", view);
  const SeriesText count = series_text(family.name + "_count", view);
  const auto bounds = bucket_closings(histogram, !view.labels.empty());
  const std::string_view closing = view.labels.empty() ? " " : "\"} ";
  for (const std::uint32_t row : view.rows) {
    const auto values = view.table->values(row);
    std::uint64_t so_far = 0;
    for (std::size_t slot = 0; slot < bounds.size(); ++slot) {
      write_series(page, bucket, view, row);
      page.text(bounds[slot]);
      page.number(so_far += values[histogram.first_slot + slot]);
      page.put('\n');
    }
    write_series(page, sum, view, row);
    page.text(closing);
    write_value(page, histogram.unit, values[histogram.sum]);
    page.put('\n');
    write_series(page, count, view, row);
    page.text(closing);
    page.number(so_far);
    page.put('\n');
    if (!page.open()) return;
  }
}

}  // namespace

std::string bound_text(double bound) {
  std::array<char, 32> scientific{};
  const auto end = std::to_chars(scientific.data(), scientific.data() + scientific.size(), bound,
                                 std::chars_format::scientific)
                       .ptr;
  const std::string text(scientific.data(), end);
  const int exponent = std::stoi(text.substr(text.find('e') + 1));
  if (exponent < -4 || exponent >= 6) return text;
  std::array<char, 32> fixed{};
  const auto stop =
      std::to_chars(fixed.data(), fixed.data() + fixed.size(), bound, std::chars_format::fixed).ptr;
  std::string plain(fixed.data(), stop);
  return plain.find('.') == std::string::npos ? plain + ".0" : plain;
}

void write_family(Page& page, const Dialect& dialect, const traffic::Family& family) {
  const bool empty = std::ranges::all_of(
      family.parts, [](const traffic::Part& part) { return part.view->rows.empty(); });
  if (empty) return;
  dialect.head(page, family.name, family.type, family.help);
  for (const traffic::Part& part : family.parts) {
    if (family.type == MetricType::kHistogram)
      write_histograms(page, family, part);
    else
      write_rows(page, family, part);
  }
}

}  // namespace nfbpf::exposition
