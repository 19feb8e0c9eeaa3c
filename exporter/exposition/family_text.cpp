// SPDX-License-Identifier: Apache-2.0
#include "exposition/family_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "exposition/label_text.h"

namespace nfbpf::exposition {
namespace {

// A label of one byte has few values: each is rendered once and copied from then on.
class OneByteTexts {
 public:
  OneByteTexts(const traffic::Field& field, std::string opening)
      : field_(field), opening_(std::move(opening)), texts_(256) {}

  const BlockText& of(std::span<const std::byte> key) {
    BlockText& text = texts_[std::to_integer<std::size_t>(key[field_.offset])];
    if (text.empty()) text = render(key);
    return text;
  }

 private:
  class StringSink final : public Sink {
   public:
    [[nodiscard]] bool write(std::string_view chunk) override {
      text += chunk;
      return true;
    }
    std::string text;
  };

  [[nodiscard]] BlockText render(std::span<const std::byte> key) const {
    StringSink sink;
    const auto page = std::make_unique<Page>(sink);
    page->text(opening_);
    write_field(*page, field_, key);
    page->flush();
    return BlockText(sink.text);
  }

  const traffic::Field& field_;
  std::string opening_;
  std::vector<BlockText> texts_;
};

// Writes the name and labels of a table's series, up to the last label's value.
class SeriesText {
 public:
  SeriesText(const std::string& name, const traffic::View& view) : view_(view), bare_(name) {
    for (const std::uint32_t number : view.labels) {
      const traffic::Field& field = view.table->layout().labels[number];
      const std::string opening = (labels_.empty() ? name + "{" : "\",") + field.name + "=\"";
      const bool one_byte = field.size == 1 && field.kind != traffic::FieldKind::kIpChoice;
      labels_.push_back({&field, BlockText(opening), {}});
      if (one_byte) labels_.back().texts.emplace(field, opening);
    }
  }

  void write(Page& page, std::uint32_t row) {
    if (labels_.empty()) page.text(bare_);
    const auto key = view_.table->key(row);
    for (auto& [field, opening, texts] : labels_) {
      if (texts) {
        page.text(texts->of(key));
        continue;
      }
      page.text(opening);
      write_field(page, *field, key);
    }
  }

  // What follows the last label's value.
  [[nodiscard]] BlockText closing() const { return BlockText(labels_.empty() ? " " : "\"} "); }

 private:
  struct Label {
    const traffic::Field* field;
    BlockText opening;  // `name{first="`, `",second="`
    std::optional<OneByteTexts> texts;
  };
  const traffic::View& view_;
  BlockText bare_;
  std::vector<Label> labels_;
};

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
  SeriesText text(family.name, view);
  const traffic::Counter& counter = view.table->layout().counters[part.index];
  const BlockText closing = text.closing();
  for (const std::uint32_t row : view.rows) {
    text.write(page, row);
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
  SeriesText bucket(family.name + "_bucket", view);
  SeriesText sum(family.name + "_sum", view);
  SeriesText count(family.name + "_count", view);
  const auto bounds = bucket_closings(histogram, !view.labels.empty());
  const BlockText closing = sum.closing();
  for (const std::uint32_t row : view.rows) {
    const auto values = view.table->values(row);
    std::uint64_t so_far = 0;
    for (std::size_t slot = 0; slot < bounds.size(); ++slot) {
      bucket.write(page, row);
      page.text(bounds[slot]);
      page.number(so_far += values[histogram.first_slot + slot]);
      page.put('\n');
    }
    sum.write(page, row);
    page.text(closing);
    write_value(page, histogram.unit, values[histogram.sum]);
    page.put('\n');
    count.write(page, row);
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
