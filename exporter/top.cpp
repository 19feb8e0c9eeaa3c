// SPDX-License-Identifier: Apache-2.0
#include "top.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "top_rates.h"

namespace nfbpf {
namespace {

using nlohmann::json;

// What is no letter or digit is escaped: nothing of it means anything in a query.
std::string escaped(const std::string& text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string query;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
      query += c;
    else
      query += {'%', kHex[octet >> 4U], kHex[octet & 0xfU]};
  }
  return query;
}

std::string path_of(const TopOptions& options) {
  std::string path = "/api/v1/traffic";
  if (!options.filter.empty()) path += "?filter=" + escaped(options.filter);
  if (options.limit != 0)
    path += (options.filter.empty() ? "?limit=" : "&limit=") + std::to_string(options.limit);
  return path;
}

std::string scaled(double value, const char* unit) {
  constexpr std::array<const char*, 6> kPrefixes = {"", "k", "M", "G", "T", "P"};
  std::size_t i = 0;
  for (; value >= 1000 && i + 1 < kPrefixes.size(); ++i) value /= 1000;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), i == 0 ? "%.0f %s%s" : "%.1f %s%s", value, kPrefixes[i],
                unit);
  return text.data();
}

struct Size {
  unsigned lines = 24, columns = 100;
};

Size terminal() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return {};
  return {size.ws_row, size.ws_col};
}

std::string right(const std::string& text, std::size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

void print(const json& answer, const std::vector<RowRate>& rows, const TopOptions& options,
           bool to_terminal) {
  double bytes = 0;
  double packets = 0;
  for (const RowRate& row : rows) bytes += row.bytes, packets += row.packets;
  const Size size = terminal();
  const unsigned columns = to_terminal ? size.columns : 0;
  const auto line = [&](const std::string& text) {
    std::puts(for_terminal(text, columns).c_str());
  };
  if (to_terminal) std::fputs("\x1b[H\x1b[2J", stdout);
  const json& datapath = answer.value("datapath", json::object());
  line("nfbpf_exporter " + answer.at("version").get<std::string>() + "  " +
       datapath.value("name", std::string("nothing is attached")) + "  " + scaled(bytes, "B") +
       "/s  " + scaled(packets, "packets") + "/s  " + std::to_string(rows.size()) + " rows");
  unsigned used = 2;
  for (const json& said : answer.at("health")) {
    if (said.at("level") == "ok") continue;
    line(said.at("level").get<std::string>() + ": " + said.at("text").get<std::string>());
    ++used;
  }
  line(right("bytes", 12) + " " + right("packets", 14) + "  source > destination");
  const std::size_t room = options.rows != 0       ? options.rows
                           : !to_terminal          ? 20
                           : size.lines > used + 1 ? size.lines - used - 1
                                                   : 1;
  for (std::size_t i = 0; i < std::min(room, rows.size()); ++i)
    line(right(scaled(rows[i].bytes, "B") + "/s", 12) + " " +
         right(scaled(rows[i].packets, "") + "/s", 14) + "  " + rows[i].name);
}

// false: a signal that ends came.
bool wait(unsigned seconds) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  const timespec limit{static_cast<time_t>(seconds), 0};
  return ::sigtimedwait(&signals, nullptr, &limit) < 0;
}

}  // namespace

std::string for_terminal(std::string_view text, unsigned columns) {
  std::string safe;
  unsigned used = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octet = static_cast<unsigned char>(text[i]);
    const bool goes_on = (octet & 0xc0U) == 0x80;  // of a character of several bytes
    if (!goes_on && columns != 0 && used == columns) break;
    if (!goes_on) ++used;
    // U+0080 to U+009F are commands to some terminals.
    const bool second = goes_on && i > 0 && text[i - 1] == '\xc2' && octet < 0xa0;
    safe += octet < 0x20 || octet == 0x7f || second ? '?' : text[i];
    if (second) safe.erase(safe.size() - 2, 1);
  }
  return safe;
}

Result<void> top(const TopOptions& options) {
  // A server that goes away is an error of the connection, and so is a reader of our output.
  std::signal(SIGPIPE, SIG_IGN);
  const auto client = TopClient::open(options.server);
  if (!client) return tl::unexpected(client.error());
  const bool to_terminal = !options.once && ::isatty(STDOUT_FILENO) == 1;
  const std::string path = path_of(options);
  TopRates rates(options.limit != 0);
  for (bool first = true;; first = false) {
    const auto text = client->get(path);
    if (!text) return tl::unexpected(text.error());
    const auto answer = json::parse(*text, nullptr, false);
    if (answer.is_discarded())
      return fail(options.server.url + ": the answer is no JSON, or broke off");
    try {
      const auto rows = rates.next(answer);
      if (!first) print(answer, rows, options, to_terminal);
    } catch (const std::exception& e) {  // of nlohmann-json, and of stoull
      return fail(options.server.url + ": is no nfbpf_exporter of this release: " + e.what());
    }
    if (std::fflush(stdout) != 0)
      return errno == EPIPE ? Result<void>() : fail_errno(errno, "standard output");
    if (options.once && !first) return {};
    if (!wait(options.seconds)) return {};
  }
}

}  // namespace nfbpf
