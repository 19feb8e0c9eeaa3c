// SPDX-License-Identifier: Apache-2.0
#include "top.h"

#include <netdb.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/unique_fd.h"

namespace nfbpf {
namespace {

using nlohmann::json;

struct Target {
  std::string host, port;
};

Result<Target> target_of(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  const auto refuse = [&](const char* why) {
    return fail("--url " + url + ": " + why + "; such as http://localhost:9987");
  };
  if (!url.starts_with(kScheme)) return refuse("is no http:// address, and top speaks no other");
  std::string rest = url.substr(kScheme.size());
  rest = rest.substr(0, rest.find('/'));
  const auto colon = rest.rfind(':');
  const bool bracketed = rest.ends_with(']');
  Target target{rest, "80"};
  if (colon != std::string::npos && !bracketed)
    target = {rest.substr(0, colon), rest.substr(colon + 1)};
  if (target.host.starts_with('[') && target.host.ends_with(']'))
    target.host = target.host.substr(1, target.host.size() - 2);
  if (target.host.empty() || target.port.empty()) return refuse("has no host or no port");
  return target;
}

Result<UniqueFd> dial(const Target& target) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found);
      error != 0)
    return fail(target.host + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(found, ::freeaddrinfo);
  int error = 0;
  for (const addrinfo* each = all.get(); each != nullptr; each = each->ai_next) {
    UniqueFd fd(::socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, 0));
    const timeval limit{10, 0};
    if (fd) ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (fd && ::connect(fd.get(), each->ai_addr, each->ai_addrlen) == 0) return fd;
    error = errno;
  }
  return fail_errno(error,
                    target.host + ":" + target.port + ": is an nfbpf_exporter running there");
}

Result<json> ask(const Target& target) {
  const auto fd = dial(target);
  if (!fd) return tl::unexpected(fd.error());
  // 1.0: no chunks to take apart.
  const std::string request = "GET /api/v1/traffic HTTP/1.0\r\nHost: " + target.host + "\r\n\r\n";
  std::string answer;
  std::array<char, 65536> piece{};
  if (::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL) < 0)
    return fail_errno(errno, target.host);
  ssize_t got = 0;
  while ((got = ::recv(fd->get(), piece.data(), piece.size(), 0)) > 0)
    answer.append(piece.data(), static_cast<std::size_t>(got));
  if (got < 0) return fail_errno(errno, target.host + ": the answer broke off");
  const auto body = answer.find("\r\n\r\n");
  const std::string status = answer.substr(0, answer.find('\r'));
  if (body == std::string::npos || status.find(" 200 ") == std::string::npos)
    return fail(target.host + ":" + target.port + ": answers \"" + status + "\"");
  auto parsed = json::parse(answer.substr(body + 4), nullptr, false);
  if (parsed.is_discarded()) return fail(target.host + ": the answer is no JSON");
  return parsed;
}

struct Row {
  std::string name;
  double bytes = 0, packets = 0;  // so far; then a second
};

double number(const json& value) {
  return value.is_string() ? std::stod(value.get<std::string>()) : value.get<double>();
}

// Rows of the first family that tells source and destination, else of the first with bytes.
std::map<std::string, Row> rows_of(const json& answer) {
  std::string family;
  for (const json& table : answer.at("tables"))
    if (family.empty() && std::ranges::count(table.at("labels"), json("source")) != 0)
      family = table.at("family");
  std::map<std::string, Row> rows;
  for (const json& table : answer.at("tables")) {
    if (family.empty()) family = table.at("family");
    if (table.at("family") != family) continue;
    const json& labels = table.at("labels");
    std::map<std::string, std::size_t> at;
    for (const json& counter : table.at("counters"))
      at.emplace(counter.at("name"), labels.size() + at.size());
    for (const json& row : table.at("rows")) {
      const auto label = [&](const char* name) {
        const auto found = std::ranges::find(labels, json(name));
        return found == labels.end()
                   ? std::string()
                   : row[static_cast<std::size_t>(found - labels.begin())].get<std::string>();
      };
      std::string name = label("source") + " > " + label("destination");
      for (std::size_t i = 0; i < labels.size(); ++i)
        if (labels[i] != "source" && labels[i] != "destination")
          name += "  " + row[i].get<std::string>();
      Row& sum = rows[name];
      sum.name = name;
      if (at.contains("bytes")) sum.bytes += number(row[at["bytes"]]);
      if (at.contains("packets")) sum.packets += number(row[at["packets"]]);
    }
  }
  return rows;
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

void print(const json& answer, std::vector<Row> rows, const TopOptions& options, bool to_terminal) {
  std::ranges::sort(rows, [](const Row& a, const Row& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.name < b.name;
  });
  double bytes = 0;
  double packets = 0;
  for (const Row& row : rows) bytes += row.bytes, packets += row.packets;
  const Size size = terminal();
  if (to_terminal) std::fputs("\x1b[H\x1b[2J", stdout);
  const json& datapath = answer.value("datapath", json::object());
  std::printf("nfbpf_exporter %s  %s  %s/s  %s/s  %zu rows\n",
              answer.at("version").get<std::string>().c_str(),
              datapath.value("name", std::string("nothing is attached")).c_str(),
              scaled(bytes, "B").c_str(), scaled(packets, "packets").c_str(), rows.size());
  unsigned used = 2;
  for (const json& line : answer.at("health")) {
    if (line.at("level") == "ok") continue;
    std::printf("%s: %s\n", line.at("level").get<std::string>().c_str(),
                line.at("text").get<std::string>().c_str());
    ++used;
  }
  std::printf("%12s %14s  %s\n", "bytes", "packets", "source > destination");
  const std::size_t room = options.rows != 0       ? options.rows
                           : !to_terminal          ? 20
                           : size.lines > used + 1 ? size.lines - used - 1
                                                   : 1;
  for (std::size_t i = 0; i < std::min(room, rows.size()); ++i) {
    std::string line(256, '\0');
    const int length = std::snprintf(
        line.data(), line.size(), "%12s %14s  %s", (scaled(rows[i].bytes, "B") + "/s").c_str(),
        (scaled(rows[i].packets, "") + "/s").c_str(), rows[i].name.c_str());
    line.resize(std::min<std::size_t>(static_cast<std::size_t>(length), 255));
    if (to_terminal) line.resize(std::min<std::size_t>(line.size(), size.columns));
    std::puts(line.c_str());
  }
  std::fflush(stdout);
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

Result<void> top(const TopOptions& options) {
  const auto target = target_of(options.url);
  if (!target) return tl::unexpected(target.error());
  const bool to_terminal = !options.once && ::isatty(STDOUT_FILENO) == 1;
  std::map<std::string, Row> before;
  double time = 0;
  for (bool first = true;; first = false) {
    const auto answer = ask(*target);
    if (!answer) return tl::unexpected(answer.error());
    try {
      auto now = rows_of(*answer);
      const double at = answer->at("time");
      if (!first && at > time) {
        std::vector<Row> rates;
        for (const auto& [name, row] : now) {
          const Row old = before.contains(name) ? before.at(name) : Row{};
          rates.push_back({name, std::max(0.0, row.bytes - old.bytes) / (at - time),
                           std::max(0.0, row.packets - old.packets) / (at - time)});
        }
        print(*answer, std::move(rates), options, to_terminal);
        if (options.once) return {};
      }
      before = std::move(now);
      time = at;
    } catch (const std::exception& e) {  // of nlohmann-json, and of stod
      return fail(options.url + ": is no nfbpf_exporter of this release: " + e.what());
    }
    if (!wait(options.seconds)) return {};
  }
}

}  // namespace nfbpf
