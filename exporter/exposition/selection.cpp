// SPDX-License-Identifier: Apache-2.0
#include "exposition/selection.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "exposition/label_text.h"
#include "exposition/page.h"

namespace nfbpf::exposition {
namespace {

using traffic::Field;
using traffic::FieldKind;
using traffic::Layout;
using traffic::Table;

// ASCII alone, as names of networks and interfaces mostly are.
std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

// A label's text without its escapes, one after the other without a page for each.
class LabelTexts {
 public:
  LabelTexts() : page_(std::make_unique<Page>(sink_)) {}

  const std::string& text(const Field& field, std::span<const std::byte> key) {
    sink_.text.clear();
    write_field(*page_, field, key);
    page_->flush();
    unescape();
    return sink_.text;
  }

 private:
  struct StringSink final : Sink {
    [[nodiscard]] bool write(std::string_view chunk) override {
      text += chunk;
      return true;
    }
    std::string text;
  };

  void unescape() {
    std::string& text = sink_.text;
    if (text.find('\\') == std::string::npos) return;
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i)
      plain += text[i] == '\\' && i + 1 < text.size() ? text[++i] : text[i];
    text = std::move(plain);
  }

  StringSink sink_;
  std::unique_ptr<Page> page_;
};

std::string big_endian(std::uint64_t number) {
  std::string bytes(sizeof(number), '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<char>(number >> (8 * (bytes.size() - 1 - i)));
  return bytes;
}

// What a label is compared by: numbers and addresses by what they are, the rest by its text.
std::string order_of(const Field& field, std::span<const std::byte> key, LabelTexts& texts) {
  const auto bytes = key.subspan(field.offset, field.size);
  const auto raw = [&](std::size_t size) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), size);
  };
  constexpr std::uint64_t kSign = std::uint64_t{1} << 63U;
  switch (field.kind) {
    case FieldKind::kIpv4:  // before those of IPv6
      return "4" + raw(bytes.size());
    case FieldKind::kIpv6:
      return "6" + raw(bytes.size());
    case FieldKind::kIpChoice:
      switch (traffic::chosen_family(field, key)) {
        case traffic::ChosenFamily::kIpv4:
          return "4" + raw(traffic::kIpv4Bytes);
        case traffic::ChosenFamily::kIpv6:
          return "6" + raw(bytes.size());
        case traffic::ChosenFamily::kNeither:
          return "";
      }
      return "";
    case FieldKind::kPort:
    case FieldKind::kUintNetwork:
    case FieldKind::kMac:
      return raw(bytes.size());
    case FieldKind::kIfindex:
    case FieldKind::kUint:
      return big_endian(traffic::host_uint(bytes.data(), bytes.size()));
    case FieldKind::kInt: {
      const auto shift = static_cast<unsigned>(64 - bytes.size() * 8);
      const auto number =
          static_cast<std::int64_t>(traffic::host_uint(bytes.data(), bytes.size()) << shift);
      return big_endian(static_cast<std::uint64_t>(number >> shift) ^ kSign);
    }
    default:
      return texts.text(field, key);
  }
}

// What rows without a limit's order of their own are cut by, as a ledger ranks them.
std::string main_counter(const Layout& layout) {
  for (const char* name : {"bytes", "packets"})
    if (std::ranges::find(layout.counters, name, &traffic::Counter::name) != layout.counters.end())
      return name;
  return layout.counters.empty() ? "" : layout.counters.front().name;
}

struct Place {
  std::size_t table = 0, row = 0;
};

// Rows with what they are compared by. A counter's largest come first, a label's least.
struct Ordered {
  std::string by;
  Place place;
};

std::string order_of_row(const Table& table, std::size_t row, const std::string& name,
                         LabelTexts& texts) {
  const Layout& layout = table.layout();
  const auto label = std::ranges::find(layout.labels, name, &Field::name);
  if (label != layout.labels.end()) return order_of(*label, table.key(row), texts);
  const auto counter = std::ranges::find(layout.counters, name, &traffic::Counter::name);
  if (counter == layout.counters.end()) return "\xff";  // behind all others
  std::uint64_t value =
      table.values(row)[static_cast<std::size_t>(counter - layout.counters.begin())];
  if (counter->is_signed) value ^= std::uint64_t{1} << 63U;
  return big_endian(~value);
}

}  // namespace

bool is_other(const Layout& layout) {
  return std::ranges::find(layout.labels, FieldKind::kOther, &Field::kind) != layout.labels.end();
}

Result<Selection> Selection::of(std::span<const std::pair<std::string, std::string>> parameters) {
  Selection selection;
  std::set<std::string> seen;
  for (const auto& [name, value] : parameters) {
    if (name != "filter" && name != "sort" && name != "limit")
      return fail("has a parameter \"" + name + "\"; there are filter, sort and limit");
    if (!seen.insert(name).second) return fail(name + ": is there twice");
    if (name == "filter") {
      if (value.size() > kMostFilter)
        return fail("filter: is " + std::to_string(value.size()) + " bytes long, the most is " +
                    std::to_string(kMostFilter));
      std::string word;
      for (const char c : lower(value) + " ") {
        if (c != ' ') {
          word += c;
        } else if (!word.empty()) {
          selection.words_.push_back(std::move(word));
          word.clear();
        }
      }
    } else if (name == "sort") {
      selection.reverse_ = value.starts_with('-');
      selection.sort_ = value.substr(selection.reverse_ ? 1 : 0);
      if (selection.sort_.empty())
        return fail("sort: is empty; the name of a label or a counter, with - before it reversed");
    } else {
      const auto end = value.data() + value.size();
      const auto [at, error] = std::from_chars(value.data(), end, selection.limit_);
      if (error != std::errc() || at != end || selection.limit_ < 1 || selection.limit_ > kMostRows)
        return fail("limit: has \"" + value + "\", allowed is 1 to " + std::to_string(kMostRows));
    }
  }
  return selection;
}

Result<void> Selection::check(const traffic::Snapshot& snapshot) const {
  if (!sorts() || snapshot.tables.empty()) return {};
  std::set<std::string> names;
  for (const Table& table : snapshot.tables) {
    for (const Field& label : table.layout().labels) names.insert(label.name);
    for (const traffic::Counter& counter : table.layout().counters) names.insert(counter.name);
  }
  if (names.contains(sort_)) return {};
  std::string there;
  for (const std::string& name : names)
    if (!name.empty()) there += (there.empty() ? "" : ", ") + name;
  return fail("sort: has \"" + sort_ + "\", which is no label and no counter here; there are " +
              there);
}

std::vector<std::vector<std::size_t>> Selection::rows(const std::vector<Table>& tables) const {
  // One at a time, whoever asks: of a million rows this takes 50 MB, and a processor for a second.
  static std::mutex turn;
  const std::lock_guard lock(turn);
  std::vector<std::vector<std::size_t>> result(tables.size());
  LabelTexts texts;
  const auto matches = [&](const Table& table, std::size_t row) {
    std::vector<std::string> labels;
    for (const Field& label : table.layout().labels)
      if (!words_.empty()) labels.push_back(lower(texts.text(label, table.key(row))));
    return std::ranges::all_of(words_, [&](const std::string& word) {
      return std::ranges::any_of(
          labels, [&](const std::string& label) { return label.find(word) != std::string::npos; });
    });
  };
  std::map<std::string, std::vector<Ordered>> families;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const Layout& layout = tables[t].layout();
    if ((!words_.empty() || limit_ != 0) && is_other(layout)) continue;
    const std::string by = sorts() ? sort_ : limit_ == 0 ? "" : main_counter(layout);
    for (std::size_t row = 0; row < tables[t].rows(); ++row)
      if (matches(tables[t], row))
        families[layout.family].push_back(
            {by.empty() && !sorts() ? "" : order_of_row(tables[t], row, by, texts), {t, row}});
  }
  for (auto& [family, ordered] : families) {
    std::ranges::stable_sort(ordered, [this](const Ordered& a, const Ordered& b) {
      return reverse_ ? a.by > b.by : a.by < b.by;
    });
    if (limit_ != 0 && ordered.size() > limit_) ordered.resize(limit_);
    for (const Ordered& one : ordered) result[one.place.table].push_back(one.place.row);
  }
  return result;
}

}  // namespace nfbpf::exposition
