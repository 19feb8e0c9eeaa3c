// SPDX-License-Identifier: Apache-2.0
#include "http/negotiation.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string>

namespace nfbpf::http {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// Takes what stands before the next separator off `rest`.
std::string_view take(std::string_view& rest, char separator) {
  const auto at = rest.find(separator);
  const auto part = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view{} : rest.substr(at + 1);
  return trimmed(part);
}

bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

// One element of a list: "text/plain;version=0.0.4;q=0.5".
struct Element {
  std::string_view name;
  std::string_view version;  // empty: none is asked for
  double quality = 1;
};

double quality_of(std::string_view text) {
  double quality = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), quality);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && quality >= 0 && quality <= 1 ? quality : 0;
}

Element element_of(std::string_view text) {
  Element element{take(text, ';'), {}};
  while (!text.empty()) {
    std::string_view value = take(text, ';');
    const std::string_view name = take(value, '=');
    value = trimmed(value);
    if (value.size() > 1 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    if (same(name, "q")) element.quality = quality_of(value);
    if (same(name, "version")) element.version = value;
  }
  return element;
}

// The highest quality among the elements that `matches`; nothing if there is none.
template <typename Matches>
std::optional<double> best(std::string_view list, Matches matches) {
  std::optional<double> best;
  while (!list.empty()) {
    const Element element = element_of(take(list, ','));
    if (matches(element)) best = std::max(best.value_or(0), element.quality);
  }
  return best;
}

}  // namespace

bool wants_openmetrics(std::string_view accept) {
  const auto open = best(accept, [](const Element& e) {
    return same(e.name, "application/openmetrics-text") &&
           (e.version.empty() || e.version == "1.0.0");
  });
  const auto text = best(accept, [](const Element& e) { return same(e.name, "text/plain"); });
  return open.value_or(0) > 0 && *open >= text.value_or(0);
}

bool accepts_gzip(std::string_view accept_encoding) {
  const auto named = best(accept_encoding, [](const Element& e) {
    return same(e.name, "gzip") || same(e.name, "x-gzip");
  });
  if (named) return *named > 0;
  return best(accept_encoding, [](const Element& e) { return e.name == "*"; }).value_or(0) > 0;
}

}  // namespace nfbpf::http
