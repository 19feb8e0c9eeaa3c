// SPDX-License-Identifier: Apache-2.0
#include "http/query.h"

#include <charconv>

#include "exposition/label_text.h"

namespace nfbpf::http {
namespace {

Result<std::string> decoded(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    unsigned octet = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto end = digits.data() + digits.size();
    const auto [at, error] = std::from_chars(digits.data(), end, octet, 16);
    if (digits.size() != 2 || error != std::errc() || at != end)
      return fail("the query has a % that two hexadecimal digits do not follow; a % itself is %25");
    plain += static_cast<char>(octet);
    i += 2;
  }
  if (!exposition::is_printable(plain))
    return fail("the query has, decoded, a control character or what is no UTF-8");
  return plain;
}

}  // namespace

Result<Parameters> parse_query(std::string_view query) {
  Parameters parameters;
  while (!query.empty()) {
    const std::string_view one = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), one.size() + 1));
    if (one.empty()) continue;
    const std::string_view name = one.substr(0, one.find('='));
    const auto first = decoded(name);
    if (!first) return tl::unexpected(first.error());
    const auto second = decoded(one.substr(std::min(one.size(), name.size() + 1)));
    if (!second) return tl::unexpected(second.error());
    parameters.emplace_back(*first, *second);
  }
  return parameters;
}

}  // namespace nfbpf::http
