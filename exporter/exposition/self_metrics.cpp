// SPDX-License-Identifier: Apache-2.0
#include "exposition/self_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>

#include "exposition/label_text.h"
#include "exposition/process_metrics.h"

namespace nfbpf::exposition {
namespace {

using prometheus::ClientMetric;
using prometheus::Labels;
using prometheus::MetricFamily;

constexpr std::string_view kNames[] = {
    "nfbpf_accountable",
    "nfbpf_blind_seconds_total",
    "nfbpf_build_info",
    "nfbpf_config_last_reload_success_timestamp_seconds",
    "nfbpf_config_last_reload_successful",
    "nfbpf_datapath_info",
    "nfbpf_flowtables",
    "nfbpf_map_capacity",
    "nfbpf_map_drained_rows_total",
    "nfbpf_map_drains_total",
    "nfbpf_map_entries",
    "nfbpf_maps_skipped",
    "nfbpf_program_info",
    "nfbpf_program_last_swap_successful",
    "nfbpf_program_load_time_seconds",
    "nfbpf_sampling_packets",
    "nfbpf_sandbox_info",
    "nfbpf_scrape_duration_seconds",
    "nfbpf_scrape_errors_total",
    "nfbpf_scrape_success",
    "nfbpf_series",
    "nfbpf_series_kept",
    "nfbpf_series_limit",
    "nfbpf_series_over_limit",
    "nfbpf_unaccounted_packets",
    "nfbpf_up",
    "nfbpf_web_config_last_reload_success_timestamp_seconds",
    "nfbpf_web_config_last_reload_successful",
    "nfbpf_web_tls_certificate_expiry_timestamp_seconds",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
};

// Families that are made anew from each snapshot; their label values come and go with what is
// loaded.
class FromSnapshot {
 public:
  void gauge(const char* name, const char* help,
             const std::vector<std::pair<Labels, double>>& samples) {
    MetricFamily family{name, help, prometheus::MetricType::Gauge, {}};
    for (const auto& [labels, value] : samples) {
      ClientMetric metric;
      for (const auto& [label, text] : labels) metric.label.push_back({label, text});
      metric.gauge.value = value;
      family.metric.push_back(std::move(metric));
    }
    if (!family.metric.empty()) families_.push_back(std::move(family));
  }
  void counter(const char* name, const char* help, double value) {
    MetricFamily family{name, help, prometheus::MetricType::Counter, {}};
    ClientMetric metric;
    metric.counter.value = value;
    family.metric.push_back(std::move(metric));
    families_.push_back(std::move(family));
  }
  [[nodiscard]] std::vector<MetricFamily> take() { return std::move(families_); }

 private:
  std::vector<MetricFamily> families_;
};

void add_collections(FromSnapshot& out, const traffic::Snapshot& snapshot) {
  std::vector<std::pair<Labels, double>> seconds;
  std::vector<std::pair<Labels, double>> success;
  for (const traffic::Collection& c : snapshot.collections) {
    seconds.push_back({{{"collector", c.collector}}, c.seconds});
    success.push_back({{{"collector", c.collector}}, c.failure ? 0.0 : 1.0});
  }
  out.gauge("nfbpf_up",
            "Whether every collector succeeded, so that the traffic series are complete.",
            {{{}, snapshot.complete() ? 1.0 : 0.0}});
  out.gauge("nfbpf_scrape_duration_seconds", "Time that a collector took for this scrape.",
            seconds);
  out.gauge("nfbpf_scrape_success", "Whether a collector succeeded.", success);
}

void add_maps(FromSnapshot& out, const traffic::Snapshot& snapshot, std::size_t skipped) {
  std::vector<std::pair<Labels, double>> entries;
  std::vector<std::pair<Labels, double>> capacity;
  for (const traffic::MapFill& map : snapshot.maps) {
    const Labels labels{{"map", map.map}};
    entries.push_back({labels, static_cast<double>(map.rows)});
    capacity.push_back({labels, static_cast<double>(map.capacity)});
  }
  out.gauge("nfbpf_map_entries", "Rows in use of a BPF map.", entries);
  out.gauge("nfbpf_map_capacity", "Rows that a BPF map can hold.", capacity);
  out.gauge("nfbpf_maps_skipped", "Maps that are loaded and have a layout that cannot be shown.",
            {{{}, static_cast<double>(skipped)}});
}

void add_series(FromSnapshot& out, const traffic::Snapshot& snapshot) {
  std::vector<std::pair<Labels, double>> series;
  std::vector<std::pair<Labels, double>> limit;
  std::vector<std::pair<Labels, double>> over;
  for (const traffic::FamilyFill& family : snapshot.families) {
    const Labels labels{{"family", family.family}};
    series.push_back({labels, static_cast<double>(family.series)});
    limit.push_back({labels, static_cast<double>(family.limit)});
    over.push_back({labels, family.over ? 1.0 : 0.0});
  }
  out.gauge("nfbpf_series", "Rows that are series of their own.", series);
  out.gauge("nfbpf_series_limit", "Rows that may be; see series_limit.", limit);
  out.gauge("nfbpf_series_over_limit",
            "Whether there are more rows than may be series; the rest is in other.", over);
  if (!snapshot.keeping) return;
  out.gauge("nfbpf_series_kept",
            "Whether what series stand at outlives the exporter: 0 where nfbpf-load left no memory "
            "for it, or none that this user may write.",
            {{{}, snapshot.keeping->kept ? 1.0 : 0.0}});
  out.counter("nfbpf_map_drains_total", "Times that the rows of a buffer were taken out.",
              static_cast<double>(snapshot.keeping->drains));
  out.counter("nfbpf_map_drained_rows_total", "Rows that were taken out of buffers.",
              static_cast<double>(snapshot.keeping->drained_rows));
}

void add_origin(FromSnapshot& out, const traffic::Snapshot& snapshot) {
  if (!snapshot.origin) return;
  const auto& [datapath, program, loaded_at, attached_at, accountable, sample_every, last_swap] =
      *snapshot.origin;
  out.gauge("nfbpf_datapath_info", "How packets reach the program, and why it is that way.",
            {{{{"datapath", datapath.name}, {"reason", datapath.reason}}, 1}});
  out.gauge("nfbpf_program_info", "The BPF program that is attached.",
            {{{{"name", program.name},
               {"id", program.id},
               {"tag", program.tag},
               {"object", program.object},
               {"abi", program.abi}},
              1}});
  out.gauge("nfbpf_program_load_time_seconds", "When the program was loaded, since unix epoch.",
            {{{}, loaded_at}});
  out.gauge("nfbpf_accountable",
            "Whether nfbpf_unaccounted_packets can be told: the module runs the built-in program, "
            "whose maps began with it, on every packet.",
            {{{}, accountable ? 1.0 : 0.0}});
  if (last_swap)
    out.gauge("nfbpf_program_last_swap_successful",
              "Whether the last swap of programs since the attach was taken; 0: the program of "
              "before runs on.",
              {{{}, *last_swap ? 1.0 : 0.0}});
  if (snapshot.blind_seconds)
    out.counter("nfbpf_blind_seconds_total",
                "Time during which nothing was counted, because the module or the links were gone, "
                "from when they were last seen.",
                *snapshot.blind_seconds);
  if (sample_every == 0) return;
  out.gauge("nfbpf_sampling_packets",
            "One packet in this many is counted, by chance, as if it were all of them; 1: each is.",
            {{{}, static_cast<double>(sample_every)}});
}

// What passes the hooks by is in no counter: all that can be said is that it may be so.
void add_flowtables(FromSnapshot& out, const traffic::Snapshot& snapshot) {
  if (!snapshot.flowtables) return;
  out.gauge("nfbpf_flowtables",
            "Flowtables of nftables: packets of a flow that is in one pass the hooks by, and no "
            "counter has them.",
            {{{}, static_cast<double>(*snapshot.flowtables)}});
}

void add_unaccounted(FromSnapshot& out, const traffic::Snapshot& snapshot) {
  if (!snapshot.unaccounted) return;
  std::vector<std::pair<Labels, double>> samples;
  for (const traffic::Unaccounted& one : *snapshot.unaccounted)
    samples.push_back(
        {{{"family", one.family}, {"hook", one.hook}}, static_cast<double>(one.packets)});
  out.gauge("nfbpf_unaccounted_packets",
            "Packets that the module met and no row, overflow or filtered counted: 0, or a count "
            "was lost.",
            samples);
}

void add_web(FromSnapshot& out, const Web& web) {
  out.gauge("nfbpf_web_config_last_reload_successful",
            "Whether the web configuration and the files that it names could be read as they are "
            "now; if not, what was read before applies.",
            {{{}, web.applies ? 1.0 : 0.0}});
  out.gauge("nfbpf_web_config_last_reload_success_timestamp_seconds",
            "When the web configuration was read that applies, since unix epoch.",
            {{{}, web.applied_at}});
  if (!web.certificate_expires) return;
  out.gauge("nfbpf_web_tls_certificate_expiry_timestamp_seconds",
            "Until when the certificate that is served is valid, since unix epoch.",
            {{{}, *web.certificate_expires}});
}

// A whole number without an exponent, which to_chars would take for the shorter 1.7e+09.
void write_number(Page& page, double value) {
  constexpr double kExact = 9007199254740992;  // 2^53: every whole number up to here is a double
  if (value == std::floor(value) && std::abs(value) <= kExact)
    page.number(static_cast<std::int64_t>(value));
  else
    page.number(value);
}

void write_sample(Page& page, const MetricFamily& family, const ClientMetric& metric) {
  page.text(family.name);
  char before = '{';
  for (const auto& [name, value] : metric.label) {
    page.put(before);
    page.text(name);
    page.text("=\"");
    write_label_value(page, value);
    page.put('"');
    before = ',';
  }
  page.text(metric.label.empty() ? " " : "} ");
  write_number(page, family.type == prometheus::MetricType::Counter ? metric.counter.value
                                                                    : metric.gauge.value);
  page.put('\n');
}

class StringSink final : public Sink {
 public:
  [[nodiscard]] bool write(std::string_view chunk) override {
    text.append(chunk);
    return true;
  }
  std::string text;
};

SelfMetrics::Rendered rendered(const Dialect& dialect, MetricFamily& family) {
  // Its own operator<, which is all that prometheus-cpp's label has.
  for (ClientMetric& metric : family.metric) std::sort(metric.label.begin(), metric.label.end());
  std::sort(family.metric.begin(), family.metric.end(),
            [](const ClientMetric& a, const ClientMetric& b) { return a.label < b.label; });
  StringSink sink;
  Page page(sink);
  const bool counter = family.type == prometheus::MetricType::Counter;
  dialect.head(page, family.name, counter ? MetricType::kCounter : MetricType::kGauge, family.help);
  for (const ClientMetric& metric : family.metric) write_sample(page, family, metric);
  page.flush();
  return {family.name, std::move(sink.text)};
}

}  // namespace

// What the registry keeps: that which adds up over scrapes, and that which never changes.
class SelfMetrics::Registered {
 public:
  Registered(const Build& build, std::optional<std::filesystem::path> procfs) {
    if (procfs) process_.emplace(*procfs);
    prometheus::BuildGauge()
        .Name("nfbpf_build_info")
        .Help("Version of this exporter.")
        .Register(registry_)
        .Add({{"version", build.version},
              {"revision", build.revision},
              {"compiler", build.compiler}})
        .Set(1);
    successful_ = &prometheus::BuildGauge()
                       .Name("nfbpf_config_last_reload_successful")
                       .Help("Whether the configuration could be read when it was to be, last.")
                       .Register(registry_)
                       .Add({});
    succeeded_at_ = &prometheus::BuildGauge()
                         .Name("nfbpf_config_last_reload_success_timestamp_seconds")
                         .Help("When the configuration was read that applies, since unix epoch.")
                         .Register(registry_)
                         .Add({});
    sandbox_ = &prometheus::BuildGauge()
                    .Name("nfbpf_sandbox_info")
                    .Help(
                        "Whether system calls are restricted (seccomp), and the ABI of Landlock "
                        "that restricts files, 0 for none.")
                    .Register(registry_);
    auto& errors = prometheus::BuildCounter()
                       .Name("nfbpf_scrape_errors_total")
                       .Help("Failed collections by what was wrong; the log has the particulars.")
                       .Register(registry_);
    for (const char* reason : traffic::kErrorClassNames)
      errors_.push_back(&errors.Add({{"reason", reason}}));
  }

  void note_sandbox(const Sandbox& sandbox) {
    sandbox_
        ->Add({{"seccomp", sandbox.seccomp ? "1" : "0"},
               {"landlock", std::to_string(sandbox.landlock)}})
        .Set(1);
  }

  void note_reload(bool successful, double at) {
    successful_->Set(successful ? 1 : 0);
    if (successful) succeeded_at_->Set(at);
  }

  std::vector<MetricFamily> collect(const traffic::Snapshot& snapshot) {
    const std::lock_guard lock(mutex_);
    for (const traffic::Collection& c : snapshot.collections)
      if (c.failure) errors_.at(static_cast<std::size_t>(c.failure->kind))->Increment();
    auto families = registry_.Collect();
    if (process_) std::ranges::move(process_->Collect(), std::back_inserter(families));
    return families;
  }

 private:
  std::mutex mutex_;
  prometheus::Registry registry_;
  std::optional<ProcessMetrics> process_;
  std::vector<prometheus::Counter*> errors_;
  prometheus::Family<prometheus::Gauge>* sandbox_ = nullptr;
  prometheus::Gauge* successful_ = nullptr;
  prometheus::Gauge* succeeded_at_ = nullptr;
};

SelfMetrics::SelfMetrics(const Build& build, std::optional<std::filesystem::path> procfs)
    : registered_(std::make_unique<Registered>(build, std::move(procfs))) {}
SelfMetrics::~SelfMetrics() = default;

void SelfMetrics::note_reload(bool successful, double at) {
  registered_->note_reload(successful, at);
}

void SelfMetrics::note_sandbox(const Sandbox& sandbox) {
  registered_->note_sandbox(sandbox);
}

std::span<const std::string_view> SelfMetrics::names() {
  return kNames;
}

std::vector<SelfMetrics::Rendered> SelfMetrics::render(
    const Dialect& dialect, const traffic::Snapshot& snapshot,
    const std::vector<traffic::SkippedMap>& rejected) {
  FromSnapshot fresh;
  add_collections(fresh, snapshot);
  add_maps(fresh, snapshot, snapshot.skipped.size() + rejected.size());
  add_series(fresh, snapshot);
  add_origin(fresh, snapshot);
  add_flowtables(fresh, snapshot);
  add_unaccounted(fresh, snapshot);
  if (web_) add_web(fresh, web_());
  auto families = registered_->collect(snapshot);
  std::ranges::move(fresh.take(), std::back_inserter(families));
  std::vector<Rendered> texts;
  texts.reserve(families.size());
  for (MetricFamily& family : families) texts.push_back(rendered(dialect, family));
  std::ranges::sort(texts, {}, &Rendered::name);
  return texts;
}

}  // namespace nfbpf::exposition
