// SPDX-License-Identifier: Apache-2.0
// nfbpf-bench-scrape: what a scrape of a map of pairs costs, ours beside prometheus-cpp as it is
// used, in one run. Each way runs in a process of its own each round, so that its peak of memory is
// its own; processor time is that process's. Needs root.
//
//   ours             batch read, ledger, families, page in chunks, ISA-L
//   prometheus-cpp   a Collectable that fills MetricFamily, TextSerializer, then zlib as its
//   Exposer
//                    has it; the map read key by key, or in batches as ours is
//   go               bench/scrape-go: cilium/ebpf's iterator and client_golang, as ebpf_exporter
//
// Packets kept: the rate at which a program counts packets of these pairs on one CPU, while scrapes
// follow each other on the others, beside its rate without any. Not in the rounds above.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "abi/nfbpf.h"
#include "exposition/dialect.h"
#include "exposition/family_text.h"
#include "http/gzip_sink.h"
#include "reader/batch_reader.h"
#include "traffic/families.h"
#include "traffic/ledgers.h"

namespace {

using namespace nfbpf;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "nfbpf-bench-scrape: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

// Seconds of processor time, and since the start, of one scrape.
struct Cost {
  double read = 0, model = 0, render = 0, gzip = 0;
  double first_byte = 0, last_byte = 0;
  double rss_mb = 0;
  double bytes = 0, packed = 0;
  [[nodiscard]] double all() const { return read + model + render + gzip; }
};

double processor() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}
double wall() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

class Lap {
 public:
  double operator()() {
    const double now = processor();
    return now - std::exchange(last_, now);
  }

 private:
  double last_ = processor();
};

// Counts, and notes when the first byte came.
class CountingSink final : public exposition::Sink {
 public:
  explicit CountingSink(double start) : start_(start) {}
  [[nodiscard]] bool write(std::string_view chunk) override {
    if (bytes == 0) first = wall() - start_;
    bytes += chunk.size();
    return true;
  }
  std::size_t bytes = 0;
  double first = 0;

 private:
  double start_;
};

traffic::Layout layout() {
  using traffic::FieldKind;
  traffic::Layout layout;
  layout.map = "nfbpf_ipv4";
  layout.family = "nfbpf_source_destination";
  layout.key_size = sizeof(nfbpf_ipv4_key);
  layout.value_size = sizeof(nfbpf_source_destination);
  layout.labels = {
      {"direction", FieldKind::kEnum, 0, 1, {{2, "in"}, {3, "forward"}, {4, "out"}}, {}},
      {"protocol", FieldKind::kProtocol, 1, 1, {}, {}},
      {"source", FieldKind::kIpv4, 4, 4, {}, {}},
      {"destination", FieldKind::kIpv4, 8, 4, {}, {}}};
  layout.counters = {{"packets", 0, 8}, {"bytes", 8, 8}};
  return layout;
}

std::size_t cpus() {
  return static_cast<std::size_t>(libbpf_num_possible_cpus());
}

reader::BatchReader reader_of(int map, std::uint32_t rows) {
  return {std::make_unique<reader::BpfMapCalls>(UniqueFd(::dup(map))),
          layout(),
          {rows, static_cast<std::uint32_t>(cpus()), true}};
}

class Summing final : public exposition::Sink {
 public:
  explicit Summing(exposition::Sink& to) : to_(to) {}
  // The compressor's own time, which is part of the rendering loop.
  [[nodiscard]] bool write(std::string_view chunk) override {
    plain += chunk.size();
    const double before = processor();
    const bool open = to_.write(chunk);
    seconds += processor() - before;
    return open;
  }
  double seconds = 0;
  std::size_t plain = 0;

 private:
  exposition::Sink& to_;
};

Cost ours(int map, std::uint32_t rows) {
  Cost cost;
  const double start = wall();
  auto reader = reader_of(map, rows);
  traffic::Ledgers ledgers({{std::make_shared<const traffic::Layout>(layout()), true}},
                           {.series_limit = 10'000'000});
  // The exporter has met the rows before: what is measured is a scrape among many.
  {
    auto met = reader.read();
    if (met) {
      std::vector<traffic::Table> live;
      live.push_back(std::move(*met));
      (void)ledgers.show(live);
    }
  }
  const double begun = wall();
  Lap lap;
  auto table = reader.read();
  if (!table) die(table.error().what);
  cost.read = lap();
  std::vector<traffic::Table> live;
  live.push_back(std::move(*table));
  const auto shown = ledgers.show(live);
  live.clear();
  const auto set = traffic::FamilySet::build(shown.tables);
  cost.model = lap();
  CountingSink out(begun);
  http::GzipSink gzip(out);
  Summing summing(gzip);
  exposition::Page page(summing);
  const exposition::TextDialect text;
  for (const auto& family : set.families()) exposition::write_family(page, text, family);
  page.flush();
  const double before = processor();
  (void)gzip.finish();
  summing.seconds += processor() - before;
  const double rendered = lap();
  cost.gzip = summing.seconds;
  cost.render = rendered - summing.seconds;
  cost.first_byte = out.first;
  cost.last_byte = wall() - begun;
  cost.bytes = static_cast<double>(summing.plain);
  cost.packed = static_cast<double>(out.bytes);
  (void)start;
  return cost;
}

struct Pair {
  nfbpf_ipv4_key key;
  std::uint64_t packets, bytes;
};

std::vector<Pair> by_key(int map) {
  std::vector<Pair> pairs;
  std::vector<nfbpf_source_destination> values(cpus());
  nfbpf_ipv4_key key{};
  nfbpf_ipv4_key next{};
  const void* at = nullptr;
  while (bpf_map_get_next_key(map, at, &next) == 0) {
    key = next;
    at = &key;
    if (bpf_map_lookup_elem(map, &key, values.data()) != 0) continue;
    Pair pair{key, 0, 0};
    for (const auto& value : values) pair.packets += value.packets, pair.bytes += value.bytes;
    pairs.push_back(pair);
  }
  return pairs;
}

std::vector<Pair> by_batch(int map, std::uint32_t rows) {
  auto reader = reader_of(map, rows);
  const auto table = reader.read();
  if (!table) die(table.error().what);
  std::vector<Pair> pairs(table->rows());
  for (std::size_t row = 0; row < pairs.size(); ++row) {
    std::memcpy(&pairs[row].key, table->key(row).data(), sizeof(nfbpf_ipv4_key));
    pairs[row].packets = table->values(row)[0];
    pairs[row].bytes = table->values(row)[1];
  }
  return pairs;
}

std::string address(std::uint32_t word) {
  std::array<char, 16> text{};
  const auto* b = reinterpret_cast<const unsigned char*>(&word);
  std::snprintf(text.data(), text.size(), "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
  return text.data();
}

// As Exposer does it (prometheus-cpp 1.0.1, pull/src/handler.cc): the whole page, then deflate.
std::size_t exposer_gzip(const std::string& page) {
  z_stream stream{};
  deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
  std::vector<unsigned char> out(deflateBound(&stream, page.size()));
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(page.data()));
  stream.avail_in = static_cast<uInt>(page.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  const std::size_t made = out.size() - stream.avail_out;
  deflateEnd(&stream);
  return made;
}

Cost stock(const std::function<std::vector<Pair>()>& read) {
  Cost cost;
  const double start = wall();
  Lap lap;
  const auto pairs = read();
  cost.read = lap();
  std::vector<prometheus::MetricFamily> families;
  for (const bool bytes : {true, false}) {
    auto& family = families.emplace_back();
    family.name =
        bytes ? "nfbpf_source_destination_bytes_total" : "nfbpf_source_destination_packets_total";
    family.help = "x";
    family.type = prometheus::MetricType::Counter;
    family.metric.reserve(pairs.size());
    for (const Pair& pair : pairs) {
      auto& metric = family.metric.emplace_back();
      metric.label = {{"destination", address(pair.key.destination)},
                      {"direction", "out"},
                      {"protocol", "udp"},
                      {"source", address(pair.key.source)}};
      metric.counter.value = static_cast<double>(bytes ? pair.bytes : pair.packets);
    }
  }
  cost.model = lap();
  const std::string page = prometheus::TextSerializer().Serialize(families);
  cost.render = lap();
  cost.packed = static_cast<double>(exposer_gzip(page));
  cost.gzip = lap();
  cost.bytes = static_cast<double>(page.size());
  cost.first_byte = cost.last_byte = wall() - start;  // nothing is sent before all is there
  return cost;
}

// In a child: its peak of memory is its own.
Cost in_a_child(const std::function<Cost()>& way) {
  int ends[2];
  if (::pipe(ends) != 0) die("pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    Cost cost = way();
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    cost.rss_mb = static_cast<double>(usage.ru_maxrss) / 1024;
    (void)!::write(ends[1], &cost, sizeof(cost));
    ::_exit(0);
  }
  Cost cost;
  const bool whole = ::read(ends[0], &cost, sizeof(cost)) == sizeof(cost);
  ::close(ends[0]);
  ::close(ends[1]);
  ::waitpid(child, nullptr, 0);
  if (!whole) die("a way did not end");
  return cost;
}

// bench/scrape-go prints: read model render gzip first last rss_mb bytes packed.
Cost go(const std::string& program, const std::string& pin) {
  FILE* pipe = ::popen((program + " " + pin).c_str(), "r");
  Cost c;
  if (pipe == nullptr ||
      std::fscanf(pipe, "%lf %lf %lf %lf %lf %lf %lf %lf %lf", &c.read, &c.model, &c.render,
                  &c.gzip, &c.first_byte, &c.last_byte, &c.rss_mb, &c.bytes, &c.packed) != 9)
    die("the Go program");
  ::pclose(pipe);
  return c;
}

int filled_map(std::uint32_t rows) {
  const int map = bpf_map_create(BPF_MAP_TYPE_PERCPU_HASH, "bench_pairs", sizeof(nfbpf_ipv4_key),
                                 sizeof(nfbpf_source_destination), rows + rows / 4, nullptr);
  if (map < 0) die("make a map");
  std::vector<nfbpf_source_destination> values(cpus());
  for (std::uint32_t i = 0; i < rows; ++i) {
    nfbpf_ipv4_key key{};
    key.direction = NFBPF_DIRECTION_OUT;
    key.protocol = 17;
    const std::uint32_t mixed = i * 2654435761U;
    key.source = mixed;
    key.destination = i;
    for (std::size_t cpu = 0; cpu < values.size(); ++cpu)
      values[cpu] = {mixed % 100000 + cpu, std::uint64_t{mixed} * 7};
    if (bpf_map_update_elem(map, &key, values.data(), BPF_ANY) != 0) die("fill the map");
  }
  return map;
}

// One CPU, or all but that one: for this thread and what it starts.
constexpr int kNoCpu = -1;
void stay_on(int cpu, bool on_it) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i = 0; i < static_cast<int>(cpus()); ++i)
    if ((i == cpu) == on_it) CPU_SET(i, &set);
  if (::sched_setaffinity(0, sizeof(set), &set) != 0) die("choose a CPU");
}

// A process that has packets counted on CPU 0 until this goes out of scope.
class PacketLoad {
 public:
  PacketLoad(const std::string& object, int map, std::uint32_t pairs) {
    void* shared = ::mmap(nullptr, sizeof(std::atomic<std::uint64_t>), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) die("share a counter");
    counted_ = new (shared) std::atomic<std::uint64_t>(0);
    child_ = ::fork();
    if (child_ != 0) return;
    stay_on(0, true);
    run(object, map, pairs);
  }
  PacketLoad(const PacketLoad&) = delete;
  PacketLoad& operator=(const PacketLoad&) = delete;
  ~PacketLoad() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    ::munmap(counted_, sizeof(*counted_));
  }

  // Packets a second while `work` runs, and until a second has passed.
  double rate(const std::function<void()>& work) const {
    const double start = wall();
    const std::uint64_t before = counted_->load();
    do work();
    while (wall() - start < 1);
    return static_cast<double>(counted_->load() - before) / (wall() - start);
  }

 private:
  [[noreturn]] void run(const std::string& file, int map, std::uint32_t pairs) {
    bpf_object* object = bpf_object__open_file(file.c_str(), nullptr);
    bpf_map* counted = object ? bpf_object__find_map_by_name(object, "bench_pairs") : nullptr;
    if (counted == nullptr || bpf_map__reuse_fd(counted, map) != 0 || bpf_object__load(object) != 0)
      die("load " + file);
    const std::array<std::uint32_t, 2> walk{0, pairs};
    const std::uint32_t zero = 0;
    bpf_map* words = bpf_object__find_map_by_name(object, ".data.walk");
    if (words == nullptr ||
        bpf_map_update_elem(bpf_map__fd(words), &zero, walk.data(), BPF_ANY) != 0)
      die("set the pairs");
    std::array<unsigned char, 64> packet{};
    constexpr int kRuns = 10'000;
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(), .data_size_in = packet.size(),
                .repeat = kRuns);
    const int program = bpf_program__fd(bpf_object__next_program(object, nullptr));
    for (;;) {
      if (bpf_prog_test_run_opts(program, &options) != 0 || options.retval != 1) die("count");
      counted_->fetch_add(kRuns);
    }
  }

  std::atomic<std::uint64_t>* counted_ = nullptr;
  pid_t child_ = -1;
};

struct Way {
  std::string name;
  std::function<Cost()> run;
  std::vector<Cost> costs{};
  std::vector<double> kept{};  // of the packet rate without scrapes, a share
};

void measure_kept(std::vector<Way>& ways, const PacketLoad& load, int rounds) {
  const auto nothing = [] { ::usleep(10'000); };
  for (int round = 0; round < rounds; ++round) {
    for (Way& way : ways) {
      const double alone = load.rate(nothing);
      way.kept.push_back(load.rate([&] { (void)way.run(); }) / alone);
    }
  }
}

std::string kept_of(const Way& way) {
  if (way.kept.empty()) return "-";
  auto kept = way.kept;
  std::ranges::sort(kept);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f, %.2f", kept.front(), kept[kept.size() / 2]);
  return text.data();
}

double median(const std::vector<Cost>& costs, const std::function<double(const Cost&)>& of) {
  std::vector<double> values;
  for (const Cost& cost : costs) values.push_back(of(cost));
  std::ranges::sort(values);
  return values[values.size() / 2];
}
double least(const std::vector<Cost>& costs, const std::function<double(const Cost&)>& of) {
  double least = of(costs[0]);
  for (const Cost& cost : costs) least = std::min(least, of(cost));
  return least;
}

void print(const std::vector<Way>& ways, std::uint32_t rows) {
  const double series = 2.0 * rows;
  const auto ns = [&](double seconds) { return seconds / series * 1e9; };
  std::printf("\n%u pairs, %.0f series\n\n", rows, series);
  std::printf(
      "| way | read | model | render | gzip | all, ns a series: min, median | first byte, ms | "
      "last byte, ms | peak RSS, MB | page, MB | gzip, MB | packets kept: min, median |\n"
      "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
  for (const Way& way : ways) {
    const auto& c = way.costs;
    std::printf(
        "| %s | %.0f | %.0f | %.0f | %.0f | %.0f, %.0f | %.0f | %.0f | %.0f | %.1f | %.1f | %s |\n",
        way.name.c_str(), ns(median(c, [](const Cost& x) { return x.read; })),
        ns(median(c, [](const Cost& x) { return x.model; })),
        ns(median(c, [](const Cost& x) { return x.render; })),
        ns(median(c, [](const Cost& x) { return x.gzip; })),
        ns(least(c, [](const Cost& x) { return x.all(); })),
        ns(median(c, [](const Cost& x) { return x.all(); })),
        1e3 * median(c, [](const Cost& x) { return x.first_byte; }),
        1e3 * median(c, [](const Cost& x) { return x.last_byte; }),
        median(c, [](const Cost& x) { return x.rss_mb; }),
        median(c, [](const Cost& x) { return x.bytes; }) / 1e6,
        median(c, [](const Cost& x) { return x.packed; }) / 1e6, kept_of(way).c_str());
  }
  const auto ratio = [&](const Way& peer, const std::function<double(const Cost&)>& of) {
    std::vector<double> each;
    for (std::size_t i = 0; i < peer.costs.size(); ++i)
      each.push_back(of(ways[0].costs[i]) / of(peer.costs[i]));
    std::ranges::sort(each);
    return std::pair(each.front(), each[each.size() / 2]);
  };
  std::printf(
      "\n| ours / | model and render: min, median | all without gzip | all |\n| --- | ---: | ---: "
      "| ---: |\n");
  for (std::size_t i = 1; i < ways.size(); ++i) {
    const auto render = ratio(ways[i], [](const Cost& c) { return c.model + c.render; });
    const auto plain = ratio(ways[i], [](const Cost& c) { return c.read + c.model + c.render; });
    const auto all = ratio(ways[i], [](const Cost& c) { return c.all(); });
    std::printf("| %s | %.3f, %.3f | %.3f, %.3f | %.3f, %.3f |\n", ways[i].name.c_str(),
                render.first, render.second, plain.first, plain.second, all.first, all.second);
  }
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 5;
  std::vector<std::uint32_t> sizes{10'000, 100'000, 1'000'000};
  std::string go_program;
  std::string load_object;
  std::string pin = "/sys/fs/bpf/nfbpf-bench-scrape";
  CLI::App app{"What a scrape costs, ours beside others."};
  app.add_option("--rounds", rounds)->capture_default_str();
  app.add_option("--pairs", sizes)->delimiter(',')->capture_default_str();
  app.add_option("--go", go_program, "bench/scrape-go, built");
  app.add_option("--load", load_object, "pairs_load.bpf.o: measure the packets kept, too");
  CLI11_PARSE(app, argc, argv);
  for (const std::uint32_t rows : sizes) {
    const int map = filled_map(rows);
    ::unlink(pin.c_str());
    if (bpf_obj_pin(map, pin.c_str()) != 0) die("pin " + pin);
    const std::uint32_t room = rows + rows / 4;
    std::vector<Way> ways;
    ways.push_back({"ours", [&] { return in_a_child([&] { return ours(map, room); }); }});
    ways.push_back({"prometheus-cpp, key by key", [&] {
                      return in_a_child([&] { return stock([&] { return by_key(map); }); });
                    }});
    ways.push_back({"prometheus-cpp, batches", [&] {
                      return in_a_child([&] { return stock([&] { return by_batch(map, room); }); });
                    }});
    if (!go_program.empty())
      ways.push_back({"Go: client_golang, cilium/ebpf", [&] { return go(go_program, pin); }});
    for (int round = 0; round < rounds; ++round)
      for (Way& way : ways) way.costs.push_back(way.run());
    if (!load_object.empty() && cpus() > 1) {
      const PacketLoad load(load_object, map, rows);
      stay_on(0, false);
      measure_kept(ways, load, rounds);
      stay_on(kNoCpu, false);
    }
    print(ways, rows);
    ::unlink(pin.c_str());
    ::close(map);
  }
  return 0;
}
