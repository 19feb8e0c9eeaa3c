// SPDX-License-Identifier: Apache-2.0
#include "http/listen_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace nfbpf::http {
namespace {

using Family = ListenAddress::Family;

tl::unexpected<Error> refuse(std::string_view text, const std::string& why) {
  return fail("\"" + std::string(text) + "\" is no address to listen on: " + why + "; use " +
              kAddressesAllowed);
}

Result<Family> family_of(std::string_view text, std::string_view host, bool bracketed) {
  if (host.empty() && !bracketed) return Family::kAny;
  const std::string terminated(host);
  in6_addr v6{};
  in_addr v4{};
  if (bracketed) {
    if (::inet_pton(AF_INET6, terminated.c_str(), &v6) == 1) return Family::kIpv6;
    return refuse(text, "between the brackets is no IPv6 address");
  }
  if (::inet_pton(AF_INET, terminated.c_str(), &v4) == 1) return Family::kIpv4;
  if (host.find(':') != std::string_view::npos)
    return refuse(text, "an IPv6 address stands in brackets");
  return refuse(text, "the host is no IPv4 address");
}

// Segments that a server or a client would resolve away.
bool has_dots(std::string_view path) {
  return path.find("/./") != std::string_view::npos || path.ends_with("/.") ||
         path.find("/../") != std::string_view::npos || path.ends_with("/..") ||
         path.find("//") != std::string_view::npos;
}

}  // namespace

Result<ListenAddress> ListenAddress::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return refuse(text, "it has no port");
  const std::string_view port_text = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, code] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (port_text.empty() || code != std::errc{} || end != port_text.data() + port_text.size())
    return refuse(text, "the port is no number from 0 to 65535");
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto family = family_of(text, host, bracketed);
  if (!family) return tl::unexpected(family.error());
  return ListenAddress{*family, std::string(host), port};
}

std::string ListenAddress::text() const {
  const std::string shown = family == Family::kIpv6 ? "[" + host + "]" : host;
  return shown + ":" + std::to_string(port);
}

Result<void> check_telemetry_path(std::string_view path) {
  const auto allowed = [](char c) {
    return c > ' ' && c < 0x7f && std::string_view("?#%\\\"<>").find(c) == std::string_view::npos;
  };
  const std::string quoted = "\"" + std::string(path) + "\"";
  const auto own = [&](std::string_view start) { return path.starts_with(start); };
  constexpr std::string_view kFiles[] = {"/",         "/page.css", "/page.js",
                                         "/rates.js", "/chart.js", "/icon.svg"};
  if (own("/-/") || own("/api/") || own("/debug/") ||
      std::ranges::find(kFiles, path) != std::end(kFiles))
    return fail(quoted + " is the server's own; use a path such as /metrics");
  if (path.starts_with('/') && !has_dots(path) && std::ranges::all_of(path, allowed)) return {};
  return fail(quoted +
              " is no path: it starts with / and has no space, query, escape or dot segment; "
              "use a path such as /metrics");
}

}  // namespace nfbpf::http
