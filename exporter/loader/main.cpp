// SPDX-License-Identifier: Apache-2.0
// nfbpf-load: the privileged half. Runs as root, does one thing, exits.
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "abi/nfbpf.h"
#include "base/one_name.h"
#include "loader/datapath.h"
#include "loader/filter.h"
#include "loader/kernel_module.h"
#include "loader/renew.h"
#include "loader/run_lock.h"
#include "loader/swap.h"

namespace {

using namespace nfbpf;
using namespace nfbpf::loader;

struct Arguments {
  AttachOptions attach;
  DetachOptions detach;
  std::string group;
  std::string key;
  std::uint32_t max_pairs = 0;
  std::string module_file;
  std::filesystem::path swap_file;
  bool drop_members = false;
  bool renew = false;
  bool check = false;
  std::filesystem::path rule_file;
  bool json = false;
  std::filesystem::path pin_dir = NFBPF_PIN_DIR_DEFAULT;
  std::filesystem::path run_dir = NFBPF_RUN_DIR_DEFAULT;
};

int complain(const Error& error) {
  std::fprintf(stderr, "nfbpf-load: %s\n", error.what.c_str());
  return 1;
}

// What can be known of an attach beforehand: for who would have to take away what is attached.
Result<void> check_attach(const AttachOptions& options) {
  if (auto ok = check_options(options); !ok) return ok;
  // Of several datapaths one that is refused is no error; and where no program is pinned nothing
  // counts that could be lost.
  if (options.datapath == "auto" || !std::filesystem::exists(options.pin_dir / NFBPF_PIN_PROGRAM))
    return {};
  const auto lock = RunLock::take(options.run_dir);
  if (!lock) return tl::unexpected(lock.error());
  return try_load(options, options.datapath);
}

int run_check(const AttachOptions& options) {
  if (auto ok = check_attach(options); !ok) return complain(ok.error());
  std::printf("nothing is known that an attach by %s would fail at\n", options.datapath.c_str());
  return 0;
}

int run_attach(Arguments& arguments) {
  AttachOptions& options = arguments.attach;
  options.pin_dir = arguments.pin_dir;
  options.run_dir = arguments.run_dir;
  if (arguments.max_pairs != 0) options.max_pairs = arguments.max_pairs;
  if (!arguments.module_file.empty()) options.module_file = arguments.module_file;
  if (auto ok = choose_key(options.choices, arguments.key); !ok) return complain(ok.error());
  if (!arguments.group.empty()) {
    const auto gid = group_id(arguments.group);
    if (!gid) return complain(gid.error());
    options.readers.group = *gid;
  }
  if (arguments.check) return run_check(options);
  std::string how = "attached";
  const auto manifest = arguments.renew ? renew(options, how) : attach(options);
  if (!manifest) return complain(manifest.error());
  std::printf("%s by %s (%s): program %s, id %u, tag %s\n", how.c_str(), manifest->datapath.c_str(),
              manifest->datapath_reason.c_str(), manifest->program.name.c_str(),
              manifest->program.id, manifest->program.tag.c_str());
  return 0;
}

int report_swap(const char* how, const Result<Manifest>& manifest) {
  if (!manifest) return complain(manifest.error());
  std::printf("%s: program %s, id %u, tag %s, from %s\n", how, manifest->program.name.c_str(),
              manifest->program.id, manifest->program.tag.c_str(), manifest->object.c_str());
  return 0;
}

// "-" is standard input.
Result<std::string> read_text(const std::filesystem::path& path) {
  std::ostringstream text;
  if (path == "-") {
    text << std::cin.rdbuf();
    return text.str();
  }
  errno = 0;
  const std::ifstream file(path);
  if (!file) return fail_errno(errno, "read " + path.string());
  text << file.rdbuf();
  return text.str();
}

// Rules that no program asks would be written in vain.
Result<void> check_filters(const Arguments& arguments) {
  const auto manifest = read_manifest(arguments.run_dir);
  if (manifest && manifest->choices.filters && is_built_in(manifest->object)) return {};
  return fail("no program that asks rules is attached" +
              std::string(manifest ? " (it is " + manifest->object.string() + ")" : "") +
              ": attach the built-in one with --filters first");
}

int run_filter(const Arguments& arguments) {
  if (auto ok = check_filters(arguments); !ok) return complain(ok.error());
  if (!arguments.rule_file.empty()) {
    const auto text = read_text(arguments.rule_file);
    if (!text) return complain(text.error());
    const auto rules = parse_rules(*text, arguments.rule_file.string());
    if (!rules) return complain(rules.error());
    const auto count = apply_rules(arguments.pin_dir, *rules);
    if (!count) return complain(count.error());
    std::printf("%zu rules apply\n", *count);
    return 0;
  }
  const auto lines = list_rules(arguments.pin_dir);
  if (!lines) return complain(lines.error());
  for (const std::string& line : *lines) std::printf("%s\n", line.c_str());
  return 0;
}

int run_detach(Arguments& arguments) {
  arguments.detach.pin_dir = arguments.pin_dir;
  arguments.detach.run_dir = arguments.run_dir;
  const auto taken = detach(arguments.detach);
  if (!taken) return complain(taken.error());
  std::string words;
  for (const std::string& word : *taken) words += (words.empty() ? "" : ", ") + word;
  std::printf("%s\n", words.empty() ? "nothing was attached" : ("detached: " + words).c_str());
  return 0;
}

// An attach, detach or swap is done wholly or not at all: a signal that would end us halfway waits
// until this goes out of scope. SIGKILL does not; the next swap or detach tidies up after it.
class SignalsWait {
 public:
  SignalsWait() {
    sigset_t waiting;
    sigemptyset(&waiting);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&waiting, signal);
    ::sigprocmask(SIG_BLOCK, &waiting, &before_);
  }
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;
  ~SignalsWait() {
    std::fflush(stdout);  // the signal ends us without
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t before_{};
};

void print_json(const Arguments& arguments, const Result<Manifest>& manifest, bool attached,
                bool loaded) {
  nlohmann::json json{{"attached", attached}, {"module_loaded", loaded}};
  if (manifest) {
    json["datapath"] = manifest->datapath;
    json["program"] = {{"name", manifest->program.name},
                       {"id", manifest->program.id},
                       {"tag", manifest->program.tag},
                       {"object", manifest->object.string()}};
    if (const auto swap = read_last_swap(arguments.run_dir)) {
      json["last_swap"] = {{"successful", swap->successful}, {"error", swap->error}};
    }
    json["refused"] = nlohmann::json::array();
    for (const Refusal& refusal : manifest->refused) {
      json["refused"].push_back({{"datapath", refusal.datapath}, {"reason", refusal.reason}});
    }
    for (const PinnedMap& map : manifest->maps) {
      json["maps"].push_back({{"name", map.name}, {"pin", map.pin.string()}});
    }
  }
  std::printf("%s\n", json.dump(2).c_str());
}

// Exit 0: attached; 3: not attached (as systemctl status has it); 1: cannot tell.
int run_status(const Arguments& arguments) {
  const auto manifest = read_manifest(arguments.run_dir);
  if (!manifest && manifest.error().code != ENOENT) return complain(manifest.error());
  const bool loaded = module_is_loaded();
  const bool attached = manifest && (manifest->datapath != "kmod" || loaded);
  if (arguments.json) {
    print_json(arguments, manifest, attached, loaded);
    return attached ? 0 : 3;
  }
  if (!manifest) {
    std::printf("not attached%s\n",
                loaded ? ", but module nfbpf is loaded (not by nfbpf-load)" : "");
    return 3;
  }
  if (!attached) {
    std::printf(
        "not attached: the manifest in %s says kmod, but module nfbpf is not loaded; nfbpf-load "
        "detach, then attach\n",
        arguments.run_dir.c_str());
    return 3;
  }
  std::printf("datapath  %s (%s)\n", manifest->datapath.c_str(), manifest->datapath_reason.c_str());
  for (const Refusal& refusal : manifest->refused) {
    std::printf("not taken %s: %s\n", refusal.datapath.c_str(), refusal.reason.c_str());
  }
  std::printf("program   %s, id %u, tag %s, from %s\n", manifest->program.name.c_str(),
              manifest->program.id, manifest->program.tag.c_str(), manifest->object.c_str());
  if (const auto id = read_module_file("program/id");
      manifest->datapath == "kmod" && id && *id != std::to_string(manifest->program.id)) {
    std::printf(
        "          but the module runs the program of id %s: a swap was killed, or somebody else "
        "changed it; nfbpf-load attach --renew finishes the swap or takes it back\n",
        id->c_str());
  }
  if (manifest->previous) {
    std::printf("previous  %s, id %u, tag %s, from %s\n", manifest->previous->program.name.c_str(),
                manifest->previous->program.id, manifest->previous->program.tag.c_str(),
                manifest->previous->object.c_str());
  }
  if (const auto swap = read_last_swap(arguments.run_dir); swap && !swap->successful) {
    std::printf("last swap was refused: %s\n", swap->error.c_str());
  }
  for (const PinnedMap& map : manifest->maps) {
    std::printf("map       %s at %s, %u entries at most\n", map.name.c_str(), map.pin.c_str(),
                map.max_entries);
  }
  return 0;
}

void describe_choices(CLI::App& command, Arguments& arguments) {
  Choices& choices = arguments.attach.choices;
  command
      .add_option("--key", arguments.key,
                  "what tells rows apart: list of source, destination, protocol, direction, ports, "
                  "service, icmp, tcp, interfaces, netns")
      ->default_val(key_words(default_choices()));
  command.add_option("--ipv4-prefix", choices.ipv4_prefix, "bits of an IPv4 address that are kept")
      ->capture_default_str()
      ->check(CLI::Range(0, 32));
  command.add_option("--ipv6-prefix", choices.ipv6_prefix, "bits of an IPv6 address that are kept")
      ->capture_default_str()
      ->check(CLI::Range(0, 128));
  command
      .add_option("--count-one-in", choices.sample_every,
                  "count one packet in so many, by chance, as if it were all of them")
      ->capture_default_str()
      ->check(CLI::Range(1U, 1U << 20));
  command.add_flag("--filters", choices.filters, "ask the rules of nfbpf-load filter");
}

void describe_attach(CLI::App& command, Arguments& arguments) {
  AttachOptions& options = arguments.attach;
  // The unit gives some, and what its owner has to say comes after them.
  command.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  command
      .add_option("--datapath", options.datapath,
                  "auto, kmod, netfilter-link, or pinned: load and pin only")
      ->capture_default_str();
  command
      .add_option("--program", options.program,
                  "a program's name in the object folder, or a path to a *.bpf.o")
      ->capture_default_str();
  command.add_option("--object-dir", options.object_dir, "folder of the BPF objects")
      ->default_val(NFBPF_OBJECT_DIR)
      ->envname("NFBPF_OBJECT_DIR");
  command
      .add_option("--module", arguments.module_file,
                  "path of an nfbpf.ko (default: the installed module)")
      ->envname("NFBPF_MODULE");
  command.add_option("--hooks", options.hooks, "list of pre, in, forward, out, post")
      ->default_val("in,forward,out");
  command.add_option("--families", options.families, "list of ipv4, ipv6")
      ->default_val("ipv4,ipv6");
  command.add_option("--priority", options.priority, "first, last or a number")
      ->default_val("first");
  command.add_option("--netns", options.netns, "all or init: where the module counts")
      ->default_val("all")
      ->check(CLI::IsMember({"all", "init"}));
  command.add_option("--log", options.log, "off or match: kernel log lines by the module")
      ->default_val("off")
      ->check(CLI::IsMember({"off", "match"}));
  command
      .add_option("--max-pairs", arguments.max_pairs,
                  "rows per address family (default: the object's own)")
      ->check(CLI::Range(1U, 1U << 26));
  command
      .add_option("--series-memory", options.series_bytes,
                  "bytes of kernel memory for what the exporter's series stand at")
      ->capture_default_str()
      ->check(CLI::Range(1U << 16, 1U << 30));
  command.add_flag("--count-loopback", options.choices.count_loopback,
                   "count what passes through lo too");
  describe_choices(command, arguments);
  command.add_flag("--renew", arguments.renew,
                   "where something is attached, only bring in another program: the way of an "
                   "upgrade");
  command.add_flag("--check", arguments.check,
                   "only say whether the options are right and, where a program is attached, "
                   "whether the kernel takes the one of --datapath with its maps");
  command.add_option("--group", arguments.group, "group that may read the pins, by name or number");
}

}  // namespace

int main(int argc, char** argv) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("nfbpf-load"));
  spdlog::set_pattern("nfbpf-load: %v");

  Arguments arguments;
  CLI::App app{"Loads a BPF program, pins it and its maps, and has it run on every packet."};
  app.set_version_flag("--version", "nfbpf-load " NFBPF_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--pin-dir", arguments.pin_dir, "where program, maps and links are pinned")
      ->capture_default_str();
  app.add_option("--run-dir", arguments.run_dir, "where BTF and manifest go for the exporter")
      ->capture_default_str();

  CLI::App* attach_command = app.add_subcommand("attach", "load, pin and attach");
  describe_attach(*attach_command, arguments);
  CLI::App* detach_command = app.add_subcommand("detach", "take all of it away again");
  detach_command->add_flag("--keep-maps", arguments.detach.keep_maps,
                           "leave the counters for the next attach");
  CLI::App* swap_command = app.add_subcommand("swap", "replace the program while traffic flows");
  swap_command->add_option("file", arguments.swap_file, "a *.bpf.o; its maps are the pinned ones")
      ->required();
  swap_command->add_flag("--drop-members", arguments.drop_members,
                         "go on without members that the new program's values lack, and lose what "
                         "they counted");
  app.add_subcommand("rollback", "take the program before the swap");
  CLI::App* filter_command =
      app.add_subcommand("filter", "list the rules, or change to a file of them");
  filter_command->add_option("file", arguments.rule_file,
                             "a rule file; - is standard input. Without one the rules are listed");
  CLI::App* status_command = app.add_subcommand("status", "what is attached, and how");
  status_command->add_flag("--json", arguments.json, "for programs");

  CLI11_PARSE(app, argc, argv);
  try {
    arguments.pin_dir = one_name(arguments.pin_dir);
    arguments.run_dir = one_name(arguments.run_dir);
    if (status_command->parsed()) return run_status(arguments);

    const SignalsWait signals_wait;
    if (filter_command->parsed()) return run_filter(arguments);
    if (attach_command->parsed()) return run_attach(arguments);
    if (detach_command->parsed()) return run_detach(arguments);
    const SwapOptions swap_options{arguments.swap_file, arguments.pin_dir, arguments.run_dir,
                                   arguments.drop_members};
    if (swap_command->parsed()) return report_swap("swapped", swap(swap_options));
    return report_swap("rolled back", rollback(swap_options));
  } catch (const std::exception& error) {
    return complain(Error{0, error.what()});
  }
}
