// SPDX-License-Identifier: Apache-2.0
// nfbpf_exporter: reads what the BPF programs counted and serves it to Prometheus. Needs no
// privilege.
#include <malloc.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/boot_time.h"
#include "command_line.h"
#include "config/web_config.h"
#include "confine/confine.h"
#include "exposition/dialect.h"
#include "exposition/metrics_page.h"
#include "exposition/selection.h"
#include "exposition/traffic_json.h"
#include "health_check.h"
#include "http/negotiation.h"
#include "http/page.h"
#include "http/query.h"
#include "http/server.h"
#include "http/web_access.h"
#include "logging.h"
#include "reader/pinned_map.h"
#include "reader/reader.h"
#include "traffic/cardinality.h"

namespace nfbpf {
namespace {

exposition::Build build() {
  return {NFBPF_VERSION, NFBPF_REVISION, NFBPF_COMPILER};
}

std::string version_text() {
  const auto [version, revision, compiler] = build();
  return "nfbpf_exporter, version " + version + " (revision: " + revision +
         ", compiler: " + compiler + ")";
}

// Signals that end the process or reload are taken by one call, wait_for_signal(). Blocked before
// any thread starts, so that every thread has them blocked.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

int wait_for_signal(const sigset_t& signals) {
  int signal = 0;
  sigwait(&signals, &signal);
  return signal;
}

// A line for each set of labels: how many series, of which family, by which labels.
Result<std::string> cardinality_text(reader::Reader& reader) {
  const auto live = reader.live();
  if (!live) return tl::unexpected(live.error());
  std::string text;
  for (const auto& [family, labels, series] : traffic::label_set_sizes(*live)) {
    std::string names;
    for (const std::string& label : labels) names += (names.empty() ? "" : ",") + label;
    text += std::to_string(series) + "\t" + family + "\t" + names + "\n";
  }
  return text;
}

// That the housekeeping goes on, for who wants to know whether the process does.
class Heartbeat {
 public:
  void beat() { at_ = std::chrono::steady_clock::now().time_since_epoch().count(); }
  // Draining a large buffer takes seconds on a slow machine.
  [[nodiscard]] bool alive() const {
    const std::chrono::steady_clock::duration since{
        std::chrono::steady_clock::now().time_since_epoch().count() - at_};
    return since < std::chrono::seconds(60);
  }

 private:
  std::atomic<std::chrono::steady_clock::rep> at_ =
      std::chrono::steady_clock::now().time_since_epoch().count();
};

// What the query of /api/v1/traffic asks for. Only the maps say what may be sorted by.
Result<exposition::Selection> selection_of(const http::Request& request, reader::Reader& reader) {
  const auto parameters = http::parse_query(request.query);
  if (!parameters) return tl::unexpected(parameters.error());
  auto selection = exposition::Selection::of(*parameters);
  if (selection && selection->sorts())
    if (auto ok = selection->check(*reader.take()); !ok) return tl::unexpected(ok.error());
  return selection;
}

std::vector<http::Route> routes(exposition::MetricsPage& page, reader::Reader& reader,
                                const std::string& telemetry_path, const Heartbeat& heartbeat) {
  static const exposition::TextDialect text;
  static const exposition::OpenMetricsDialect open;
  const auto metrics = [&page](const http::Request& request) {
    const exposition::Dialect& dialect = http::wants_openmetrics(request.accept)
                                             ? static_cast<const exposition::Dialect&>(open)
                                             : text;
    return http::Response{200, std::string(dialect.content_type()),
                          [&page, &dialect](exposition::Sink& sink) { page.write(sink, dialect); },
                          true};
  };
  const auto traffic = [&reader](const http::Request& request) {
    const auto selection = selection_of(request, reader);
    if (!selection) return http::Response::text(400, "400 " + selection.error().what + "\n");
    return http::Response{200, "application/json",
                          [&reader, selection = *selection](exposition::Sink& sink) {
                            exposition::write_traffic_json(sink, *reader.take(), build(),
                                                           selection);
                          },
                          true};
  };
  const auto healthy = [&heartbeat](const http::Request&) {
    return heartbeat.alive()
               ? http::Response::text(200, "healthy\n")
               : http::Response::text(503, "housekeeping has been stuck for a minute\n");
  };
  const auto ready = [&page](const http::Request&) {
    const auto ok = page.ready();
    return ok ? http::Response::text(200, "ready\n")
              : http::Response::text(503, "not ready: " + ok.error().what + "\n");
  };
  const auto cardinality = [&reader](const http::Request&) {
    const auto lines = cardinality_text(reader);
    return lines ? http::Response::text(200, *lines)
                 : http::Response::text(503, lines.error().what + "\n");
  };
  std::vector<http::Route> all = http::page_routes(telemetry_path);
  all.push_back({telemetry_path, metrics});
  all.push_back({"/api/v1/traffic", traffic});
  all.push_back({"/-/healthy", healthy, false, false});
  all.push_back({"/-/ready", ready});
  all.push_back({"/debug/cardinality", cardinality});
  return all;
}

std::vector<reader::OtherPin> other_pins(const config::Config& config) {
  std::vector<reader::OtherPin> pins;
  for (const auto& [name, path, btf] : config.pinned_maps) pins.push_back({name, path, btf});
  return pins;
}

// Nothing where systemd did not start us (sd_notify(3)).
void tell_systemd(const char* state) {
  (void)::sd_notify(0, state);
}

// Type=notify-reload wants to know when it began.
void tell_systemd_of_reload() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  (void)::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
                     static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000);
}

// An error is logged when it begins and when it changes, not every second.
void keep_house(reader::Reader& reader, Heartbeat& heartbeat, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::string logged;
  while (!stop.stop_requested()) {
    const auto ok = reader.tick(since_boot());
    heartbeat.beat();
    tell_systemd("WATCHDOG=1");
    const std::string now = ok ? "" : ok.error().what;
    if (now != logged && !ok) spdlog::error("taking rows out of the maps: {}", now);
    if (now != logged && ok) spdlog::info("taking rows out of the maps: works again");
    logged = now;
    std::unique_lock lock(mutex);
    stopped.wait_for(lock, stop, std::chrono::seconds(1), [] { return false; });
  }
}

double since_epoch() {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  return now.count();
}

// All or nothing: with an error the configuration of before applies.
class Reloading {
 public:
  Reloading(int argc, const char* const* argv, reader::Reader& reader,
            exposition::MetricsPage& page, config::Config running)
      : argc_(argc), argv_(argv), reader_(reader), page_(page), running_(std::move(running)) {
    page_.note_reload(true, since_epoch());
  }

  // Threads may come at once.
  Result<void> reload() {
    const std::lock_guard lock(mutex_);
    auto ok = try_to();
    page_.note_reload(ok.has_value(), since_epoch());
    if (ok)
      spdlog::info("configuration reloaded");
    else
      spdlog::error("configuration not reloaded, the one of before applies: {}", ok.error().what);
    return ok;
  }

  // POST /-/reload.
  http::Route route() {
    return {"/-/reload",
            [this](const http::Request&) {
              const auto ok = reload();
              return ok ? http::Response::text(200, "reloaded\n")
                        : http::Response::text(500, "not reloaded: " + ok.error().what + "\n");
            },
            true};
  }

 private:
  Result<void> try_to() {
    auto command = read_command_line(argc_, argv_, version_text());
    if (!command) return tl::unexpected(command.error());
    const config::Config& config = command->settings->config;
    if (config.listen_addresses != running_.listen_addresses ||
        config.telemetry_path != running_.telemetry_path ||
        config.compression != running_.compression || config.run_dir != running_.run_dir)
      return fail("web.* and run_dir apply from a start on; restart, or put them back");
    set_up_logging(config.log_level, config.log_format);
    reader_.reconfigure(std::make_unique<reader::PinOpener>(config.pin_dir, config.maps),
                        other_pins(config), config.series, {config.networks, config.groups});
    return {};
  }

  int argc_;
  const char* const* argv_;
  reader::Reader& reader_;
  exposition::MetricsPage& page_;
  config::Config running_;
  std::mutex mutex_;
};

// What is read from here on; see confine.h.
std::vector<std::filesystem::path> readable(const Settings& settings) {
  std::vector<std::filesystem::path> paths;
  for (const std::filesystem::path& file : settings.read_again)
    std::ranges::move(confine::folders_behind(file), std::back_inserter(paths));
  // nfbpf-load removes its folders and makes them again, which are others to Landlock: the one
  // above is what stays. It says in run_dir where it pinned, if the configuration does not.
  paths.push_back(settings.config.run_dir.parent_path());
  paths.push_back(settings.config.pin_dir.empty() ? "/sys/fs/bpf"
                                                  : settings.config.pin_dir.parent_path());
  paths.push_back(settings.sysfs / "module");
  paths.emplace_back(
      "/sys/devices/system/cpu");  // libbpf counts them there, wherever sysfs is said to be
  return paths;
}

bool asks_for_types(const config::Config& config) {
  return std::ranges::any_of(config.pinned_maps,
                             [](const config::PinnedMap& map) { return map.btf.empty(); });
}

// Before any other thread starts: they get what this one has left. Afterwards it is who serves.
Result<void> give_up_privileges(const Settings& settings) {
  if (!settings.run_as.empty())
    if (auto ok = confine::become(settings.run_as); !ok) return ok;
  if (auto ok = confine::check_user(settings.allow_root); !ok) return ok;
  // Another user is not to have root's rights, however it came by them.
  const bool is_root = ::geteuid() == 0;
  if (auto ok = confine::drop_capabilities(is_root && asks_for_types(settings.config)); !ok)
    return ok;
  return confine::check_readable(settings.read_again);
}

bool sandboxed(const Settings& settings) {
  return settings.sandbox && !confine::kSanitized;
}

Result<exposition::Sandbox> restrict_files(const Settings& settings) {
  if (!sandboxed(settings)) {
    if (settings.sandbox)
      spdlog::warn("built with a sanitizer: neither system calls nor files are restricted");
    return exposition::Sandbox{};
  }
  const auto landlock = confine::restrict_files(readable(settings));
  if (!landlock) return tl::unexpected(landlock.error());
  if (*landlock == 0)
    spdlog::info("this kernel has no Landlock: files are restricted by their modes alone");
  return exposition::Sandbox{true, *landlock};
}

// Null where there is no web configuration.
Result<std::unique_ptr<http::WebAccess>> open_access(const Settings& settings) {
  const auto& file = settings.web_config_file;
  if (file.empty()) return nullptr;
  return http::WebAccess::open(file, [file] { return config::load_web_config(file); });
}

// At each page, so that what is said is of now.
exposition::Web web_of(http::WebAccess& access) {
  const auto now = access.now();
  const std::chrono::duration<double> read_at = now->read_at.time_since_epoch();
  exposition::Web web{access.applies(), read_at.count(), std::nullopt};
  if (now->identity) web.certificate_expires = static_cast<double>(now->identity->expires());
  return web;
}

Result<void> serve_until_signal(const Settings& settings, const sigset_t& signals, int argc,
                                const char* const* argv) {
  const auto& config = settings.config;
  reader::Reader reader({config.run_dir, settings.sysfs, config.pin_dir},
                        std::make_unique<reader::PinOpener>(config.pin_dir, config.maps),
                        reader::own_interface_names, other_pins(config), config.series,
                        {config.networks, config.groups});
  exposition::MetricsPage page(
      reader, build(), settings.process_metrics ? std::optional(settings.procfs) : std::nullopt);
  Reloading reloading(argc, argv, reader, page, config);
  Heartbeat heartbeat;
  auto served = routes(page, reader, config.telemetry_path, heartbeat);
  if (settings.lifecycle) served.push_back(reloading.route());

  if (auto ok = give_up_privileges(settings); !ok) return ok;
  // As who serves, and confined, since so it will be read when it has changed.
  const auto sandbox = restrict_files(settings);
  if (!sandbox) return tl::unexpected(sandbox.error());
  page.note_sandbox(*sandbox);
  const auto access = open_access(settings);
  if (!access) return tl::unexpected(access.error());
  if (*access) page.watch_web([&web = **access] { return web_of(web); });
  const auto server = http::Server::start({.addresses = config.listen_addresses,
                                           .max_requests = settings.max_requests,
                                           .compress = config.compression,
                                           .access = access->get()},
                                          std::move(served));
  if (!server) return tl::unexpected(server.error());
  const bool tls = *access && (*access)->now()->identity;
  for (const auto& address : (*server)->addresses())
    spdlog::info("listening on {}{}", address.text(), tls ? " with TLS" : "");
  // One read now, so that the log says at once what is missing; the rest waits for scrapes.
  (void)page.ready();

  if (sandboxed(settings)) {
    if (auto ok = confine::restrict_calls(asks_for_types(config)); !ok) return ok;
    spdlog::info("uid {}, gid {}, system calls restricted by seccomp, files by {}", ::getuid(),
                 ::getgid(),
                 sandbox->landlock == 0 ? "their modes"
                                        : "Landlock, ABI " + std::to_string(sandbox->landlock));
  }

  const std::jthread housekeeping(
      [&](const std::stop_token& stop) { keep_house(reader, heartbeat, stop); });

  tell_systemd("READY=1\nSTATUS=serving");
  int signal = 0;
  while ((signal = wait_for_signal(signals)) == SIGHUP) {
    tell_systemd_of_reload();
    const auto ok = reloading.reload();
    tell_systemd(ok ? "READY=1\nSTATUS=serving"
                    : "READY=1\nSTATUS=serving; the last reload failed, see the log");
  }
  tell_systemd("STOPPING=1");
  spdlog::info("ending on {}", signal == SIGINT ? "SIGINT" : "SIGTERM");
  return {};
}

// Beside an exporter that runs: only looks.
Result<void> print_cardinality(const Settings& settings) {
  const auto& config = settings.config;
  reader::Reader reader({config.run_dir, settings.sysfs, config.pin_dir},
                        std::make_unique<reader::PinOpener>(config.pin_dir, config.maps),
                        reader::own_interface_names, {}, config.series,
                        {config.networks, config.groups}, true);
  const auto text = cardinality_text(reader);
  if (!text) return tl::unexpected(text.error());
  std::fputs(text->c_str(), stdout);
  return {};
}

Result<void> ask_for_health(const Settings& settings) {
  const auto access = open_access(settings);
  if (!access) return tl::unexpected(access.error());
  return check_health(settings.config.listen_addresses.front(),
                      *access && (*access)->now()->identity, settings.check_path);
}

int run(int argc, char** argv) {
  const sigset_t signals = block_signals();
  const auto command = read_command_line(argc, argv, version_text());
  if (!command) {
    std::fprintf(stderr, "nfbpf_exporter: %s\n", command.error().what.c_str());
    return 1;
  }
  if (command->top) {
    const auto ok = top(*command->top);
    if (!ok) std::fprintf(stderr, "nfbpf_exporter: %s\n", ok.error().what.c_str());
    return ok ? 0 : 1;
  }
  if (!command->settings) return command->exit_status;

  set_up_logging(command->settings->config.log_level, command->settings->config.log_format);
  if (command->settings->cardinality) {
    const auto ok = print_cardinality(*command->settings);
    if (!ok) std::fprintf(stderr, "nfbpf_exporter: %s\n", ok.error().what.c_str());
    return ok ? 0 : 1;
  }
  if (!command->settings->check_path.empty()) {
    const auto ok = ask_for_health(*command->settings);
    if (!ok) std::fprintf(stderr, "nfbpf_exporter: %s\n", ok.error().what.c_str());
    return ok ? 0 : 1;
  }
  spdlog::info("starting {}", version_text());
  if (auto ok = serve_until_signal(*command->settings, signals, argc, argv); !ok) {
    spdlog::error("{}", ok.error().what);
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace nfbpf

int main(int argc, char** argv) {
  // glibc gives threads arenas, up to eight a CPU, each of which keeps what its largest snapshot
  // took. Snapshots are taken one at a time: more than two arenas are memory for nothing.
  (void)::mallopt(M_ARENA_MAX, 2);
  return nfbpf::run(argc, argv);
}
