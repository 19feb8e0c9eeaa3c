// SPDX-License-Identifier: Apache-2.0
#include "command_line.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <vector>

#include "config/web_config.h"
#include "http/tls.h"

namespace nfbpf {
namespace {

// The flags as they were given; empty where they were not.
struct Flags {
  std::string config_file;
  bool config_check = false;
  bool cardinality = false;
  bool health_check = false;
  bool ready_check = false;
  std::vector<std::string> listen_addresses;
  std::string telemetry_path;
  std::string web_config_file;
  unsigned max_requests = 40;
  bool disable_exporter_metrics = false;
  bool enable_lifecycle = false;
  std::string run_as;
  bool allow_root = false;
  bool no_sandbox = false;
  std::string sysfs = "/sys";
  std::string procfs = "/proc";
  std::string log_level;
  std::string log_format;
};

void add_flags(CLI::App& app, Flags& flags, const std::string& version) {
  app.set_version_flag("--version", version);
  app.add_option("--config.file", flags.config_file, "YAML configuration; flags win over it");
  app.add_flag("--config.check", flags.config_check,
               "Check flags and configuration, say what is wrong, and end");
  app.add_flag("--cardinality", flags.cardinality,
               "Print how many series each set of labels would give now, and end");
  app.add_flag("--health-check", flags.health_check,
               "Ask the exporter that runs with the same flags whether it is alive, and end: 0 if "
               "so, for containers");
  app.add_flag("--ready-check", flags.ready_check, "The same, for whether it can read the maps");
  app.add_option("--web.listen-address", flags.listen_addresses,
                 std::string("Address to listen on, such as ") + http::kAddressesAllowed +
                     "; repeatable [" + config::kDefaultListenAddress + "]")
      ->allow_extra_args(false);
  app.add_option("--web.telemetry-path", flags.telemetry_path,
                 std::string("Path of the metrics [") + config::kDefaultTelemetryPath + "]");
  app.add_option("--web.config.file", flags.web_config_file,
                 "Prometheus' web configuration: TLS, users, headers; read again when it changes");
  app.add_option("--web.max-requests", flags.max_requests,
                 "Requests that are answered at a time, more are turned away; 0: no limit")
      ->capture_default_str();
  app.add_flag("--web.disable-exporter-metrics", flags.disable_exporter_metrics,
               "Leave out process_*, which is about the exporter itself");
  app.add_flag("--web.enable-lifecycle", flags.enable_lifecycle,
               "Reload the configuration on POST /-/reload");
  app.add_option("--run-as", flags.run_as, "USER[:GROUP] to become, when started as root");
  app.add_flag("--allow-root", flags.allow_root,
               "Stay root, without its capabilities: what of the machine is root's is still more "
               "than it needs");
  app.add_flag("--no-sandbox", flags.no_sandbox,
               "Restrict neither system calls (seccomp) nor files (Landlock)");
  app.add_option("--path.sysfs", flags.sysfs, "Where sysfs is mounted")->capture_default_str();
  app.add_option("--path.procfs", flags.procfs, "Where procfs is mounted")->capture_default_str();
  app.add_option("--log.level", flags.log_level,
                 std::string("Least severe messages to log: ") + config::kLogLevels + " [info]");
  app.add_option("--log.format", flags.log_format,
                 std::string("Format of log lines: ") + config::kLogFormats + " [logfmt]");
}

CLI::App* add_top(CLI::App& app, TopOptions& top) {
  CLI::App* command = app.add_subcommand("top", "Show the busiest rows of a running exporter");
  command->add_option("--url", top.server.url, "Where it serves, http or https")
      ->capture_default_str();
  command->add_option("--ca-file", top.server.ca_file,
                      "Who may sign its certificate [whom the system trusts]");
  command->add_option("--cert-file", top.server.cert_file, "Certificate to show it, if it asks");
  command->add_option("--key-file", top.server.key_file, "The key of that");
  command->add_option("--user", top.server.user, "Name to log in with");
  command->add_option("--password-file", top.server.password_file,
                      "File whose first line is the password");
  command->add_option("--seconds", top.seconds, "Between two looks")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  command->add_option("--rows", top.rows, "How many to show; 0: as there is room for")
      ->capture_default_str();
  command->add_option("--filter", top.filter,
                      "Words; rows that have each of them in one of their labels");
  command
      ->add_option("--limit", top.limit,
                   "Ask for so many rows, those with most bytes so far, instead of for all; 0: all")
      ->check(CLI::Range(0, 10'000'000))
      ->capture_default_str();
  command->add_flag("--once", top.once, "One table, and end");
  return command;
}

Result<void> apply_addresses(const Flags& flags, config::Config& config) {
  if (flags.listen_addresses.empty()) return {};
  config.listen_addresses.clear();
  for (const std::string& text : flags.listen_addresses) {
    auto address = http::ListenAddress::parse(text);
    if (!address) return fail("--web.listen-address: " + address.error().what);
    config.listen_addresses.push_back(std::move(*address));
  }
  return {};
}

Result<void> apply_log(const Flags& flags, config::Config& config) {
  const auto refuse = [](const char* flag, const std::string& value, const char* allowed) {
    return fail(std::string(flag) + ": has \"" + value + "\", allowed is " + allowed);
  };
  if (!flags.log_level.empty()) {
    const auto level = config::log_level_of(flags.log_level);
    if (!level) return refuse("--log.level", flags.log_level, config::kLogLevels);
    config.log_level = *level;
  }
  if (!flags.log_format.empty()) {
    const auto format = config::log_format_of(flags.log_format);
    if (!format) return refuse("--log.format", flags.log_format, config::kLogFormats);
    config.log_format = *format;
  }
  return {};
}

Result<void> check_web_config(const std::string& file,
                              const std::function<void(const std::filesystem::path&)>& read_again) {
  const auto web = config::load_web_config(file);
  if (!web) return tl::unexpected(web.error());
  if (!web->tls) return {};
  for (const auto& path : {web->tls->cert_file, web->tls->key_file, web->tls->client_ca_file})
    read_again(path);
  const auto identity = http::TlsIdentity::load(*web->tls);
  return identity ? Result<void>() : tl::unexpected(identity.error());
}

Result<Settings> settings_of(const Flags& flags) {
  Settings settings;
  settings.config = config::Config::defaults();
  if (!flags.config_file.empty()) {
    auto loaded = config::load(flags.config_file);
    if (!loaded) return tl::unexpected(loaded.error());
    settings.config = std::move(*loaded);
  }
  if (auto ok = apply_addresses(flags, settings.config); !ok) return tl::unexpected(ok.error());
  if (auto ok = apply_log(flags, settings.config); !ok) return tl::unexpected(ok.error());
  if (!flags.telemetry_path.empty()) {
    if (auto ok = http::check_telemetry_path(flags.telemetry_path); !ok)
      return fail("--web.telemetry-path: " + ok.error().what);
    settings.config.telemetry_path = flags.telemetry_path;
  }
  settings.sysfs = flags.sysfs;
  settings.procfs = flags.procfs;
  settings.cardinality = flags.cardinality;
  if (flags.health_check) settings.check_path = "/-/healthy";
  if (flags.ready_check) settings.check_path = "/-/ready";
  settings.web_config_file = flags.web_config_file;
  settings.max_requests = flags.max_requests;
  settings.process_metrics = !flags.disable_exporter_metrics;
  settings.lifecycle = flags.enable_lifecycle;
  settings.run_as = flags.run_as;
  settings.allow_root = flags.allow_root;
  settings.sandbox = !flags.no_sandbox;
  // What comes out of a pipe does so once.
  const auto read_again = [&](const std::filesystem::path& file) {
    std::error_code code;
    if (std::filesystem::is_regular_file(file, code))
      settings.read_again.push_back(std::filesystem::absolute(file));
  };
  read_again(flags.config_file);
  read_again(flags.web_config_file);
  read_again(settings.config.networks_file);
  for (const config::PinnedMap& map : settings.config.pinned_maps) read_again(map.btf);
  if (!flags.web_config_file.empty())
    if (auto ok = check_web_config(flags.web_config_file, read_again); !ok)
      return tl::unexpected(ok.error());
  return settings;
}

}  // namespace

Result<CommandLine> read_command_line(int argc, const char* const* argv,
                                      const std::string& version) {
  CLI::App app{"Exports the traffic counters of nfbpf's BPF maps to Prometheus.", "nfbpf_exporter"};
  Flags flags;
  TopOptions top;
  try {
    add_flags(app, flags, version);
    const CLI::App* command = add_top(app, top);
    app.parse(argc, argv);
    if (command->parsed()) return CommandLine{std::nullopt, top, 0};
  } catch (const CLI::Success& e) {  // --help and --version
    return CommandLine{std::nullopt, std::nullopt, app.exit(e)};
  } catch (const CLI::Error& e) {
    return fail(std::string(e.what()) + "; see --help");
  }
  auto settings = settings_of(flags);
  if (!settings) return tl::unexpected(settings.error());
  if (flags.config_check) {
    std::puts("configuration is valid");
    return CommandLine{std::nullopt, std::nullopt, 0};
  }
  return CommandLine{std::move(*settings), std::nullopt, 0};
}

}  // namespace nfbpf
