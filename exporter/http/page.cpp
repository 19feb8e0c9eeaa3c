// SPDX-License-Identifier: Apache-2.0
#include "http/page.h"

#include "http/page_files.h"

namespace nfbpf::http {
namespace {

// Nothing but what comes from here, and no code or style inside the page.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

Route file(const char* path, const char* type, std::string text) {
  const auto answer = [type, text = std::move(text)](const Request&) {
    auto response = Response::text(200, text);
    response.content_type = type;
    response.negotiated = true;
    response.headers = {{"Content-Security-Policy", kPolicy}, {"Referrer-Policy", "no-referrer"}};
    return response;
  };
  return {path, answer};
}

// A path that check_telemetry_path() let through has none of what HTML would take for its own.
std::string with_path(std::string html, const std::string& telemetry_path) {
  constexpr std::string_view kMark = "@METRICS@";
  for (auto at = html.find(kMark); at != std::string::npos; at = html.find(kMark, at))
    html.replace(at, kMark.size(), telemetry_path);
  return html;
}

}  // namespace

std::vector<Route> page_routes(const std::string& telemetry_path) {
  return {file("/", "text/html; charset=utf-8",
               with_path(std::string(page_files::kIndexHtml), telemetry_path)),
          file("/page.css", "text/css; charset=utf-8", std::string(page_files::kPageCss)),
          file("/page.js", "text/javascript; charset=utf-8", std::string(page_files::kPageJs)),
          file("/rates.js", "text/javascript; charset=utf-8", std::string(page_files::kRatesJs)),
          file("/chart.js", "text/javascript; charset=utf-8", std::string(page_files::kChartJs)),
          file("/icon.svg", "image/svg+xml", std::string(page_files::kIconSvg))};
}

}  // namespace nfbpf::http
