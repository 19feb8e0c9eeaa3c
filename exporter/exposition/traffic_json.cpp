// SPDX-License-Identifier: Apache-2.0
#include "exposition/traffic_json.h"

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <vector>

#include "exposition/label_text.h"

namespace nfbpf::exposition {
namespace {

using nlohmann::json;

// Text from elsewhere may be no UTF-8, which JSON has to be.
std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json line(const char* level, const std::string& text) {
  return {{"level", level}, {"text", text}};
}

constexpr const char* kModule = "kmod";

// How packets reach the program, and whether they do.
json counting_line(const traffic::Snapshot& snapshot) {
  const std::string& datapath = snapshot.origin->datapath.name;
  const bool module = datapath == kModule;
  if (!snapshot.counting)
    return line("error", module ? "Nothing is counted: the module nfbpf is not loaded, or has no "
                                  "hooks. nfbpf-load attach brings it back."
                                : "Nothing is counted: the links of " + datapath +
                                      " are gone. nfbpf-load attach brings them back.");
  return line("ok", module ? "The module nfbpf is loaded, and its hooks are there."
                           : "Packets come by " + datapath + ", without the module nfbpf.");
}

json health_of(const traffic::Snapshot& snapshot) {
  json lines = json::array();
  if (snapshot.complete()) lines.push_back(line("ok", "All collectors succeed."));
  for (const traffic::Collection& c : snapshot.collections)
    if (c.failure)
      lines.push_back(line("error", "Collector " + c.collector + ": " + c.failure->error.what));
  if (snapshot.origin) lines.push_back(counting_line(snapshot));
  if (snapshot.unaccounted) {
    std::uint64_t lost = 0;
    for (const traffic::Unaccounted& one : *snapshot.unaccounted) lost += one.packets;
    lines.push_back(lost == 0 ? line("ok", "Every packet that the module met is in a row.")
                              : line("error", std::to_string(lost) +
                                                  " packets that the module met are in no row."));
  }
  if (snapshot.origin && snapshot.origin->sample_every > 1)
    lines.push_back(line("warn", "One packet in " + std::to_string(snapshot.origin->sample_every) +
                                     " is looked at, and counts as if it were all of them."));
  for (const traffic::FamilyFill& family : snapshot.families)
    if (family.over)
      lines.push_back(line("warn", family.family + ": there are more rows than the " +
                                       std::to_string(family.limit) +
                                       " that may be series; the rest is in \"other\"."));
  for (const traffic::SkippedMap& map : snapshot.skipped)
    lines.push_back(line("warn", "Not shown: " + map.why));
  if (snapshot.blind_seconds && *snapshot.blind_seconds > 0)
    lines.push_back(line("warn", "Blind for " + json(*snapshot.blind_seconds).dump() +
                                     " seconds since the attach."));
  return lines;
}

json head_of(const traffic::Snapshot& snapshot, const Build& build) {
  const std::chrono::duration<double> time = snapshot.time.time_since_epoch();
  json head = {{"time", time.count()},
               {"version", build.version},
               {"up", snapshot.complete()},
               {"health", health_of(snapshot)}};
  if (snapshot.origin) {
    const auto& origin = *snapshot.origin;
    head["datapath"] = {{"name", origin.datapath.name}, {"reason", origin.datapath.reason}};
    head["program"] = {{"name", origin.program.name},
                       {"id", origin.program.id},
                       {"tag", origin.program.tag},
                       {"object", origin.program.object},
                       {"loaded_at", origin.loaded_at}};
  }
  return head;
}

// A number that a double holds exactly, or else text (RFC 8259, 6).
template <typename Number>
void write_count(Page& page, Number count) {
  constexpr auto kExact = Number{1} << 53U;
  bool exact = count <= kExact;
  if constexpr (std::is_signed_v<Number>) exact = exact && count >= -kExact;
  if (exact) return page.number(count);
  page.put('"');
  page.number(count);
  page.put('"');
}

void write_row(Page& page, const traffic::Table& table, std::size_t row) {
  const traffic::Layout& layout = table.layout();
  page.put('[');
  // A label's escapes are those of JSON.
  for (const traffic::Field& label : layout.labels) {
    page.put('"');
    write_field(page, label, table.key(row));
    page.text("\",");
  }
  const auto values = table.values(row);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i != 0) page.put(',');
    if (layout.counters[i].is_signed)
      write_count(page, static_cast<std::int64_t>(values[i]));
    else
      write_count(page, values[i]);
  }
  page.put(']');
}

json table_head(const traffic::Table& table) {
  const traffic::Layout& layout = table.layout();
  json head = {{"map", layout.map},
               {"family", layout.family},
               {"labels", json::array()},
               {"counters", json::array()},
               {"row_count", table.rows()}};
  for (const traffic::Field& label : layout.labels) head["labels"].push_back(label.name);
  for (const traffic::Counter& counter : layout.counters)
    head["counters"].push_back(
        {{"name", counter.name},
         {"unit", counter.unit == traffic::Unit::kNanoseconds ? "nanoseconds" : "count"},
         {"type", counter.type == traffic::MetricType::kGauge ? "gauge" : "counter"}});
  if (!is_other(layout)) return head;
  head["other_by"] = json::array();
  for (const traffic::Field& label : layout.labels)
    if (label.kind != traffic::FieldKind::kOther) head["other_by"].push_back(label.name);
  return head;
}

// `rows`: those to show; null: all.
void write_table(Page& page, const traffic::Table& table, const std::vector<std::size_t>* rows) {
  std::string text = dumped(table_head(table));
  text.pop_back();  // the brace: rows follow
  page.text(text);
  page.text(",\"rows\":[");
  const std::size_t count = rows == nullptr ? table.rows() : rows->size();
  for (std::size_t i = 0; i < count && page.open(); ++i) {
    if (i != 0) page.text(",\n");
    write_row(page, table, rows == nullptr ? i : (*rows)[i]);
  }
  page.text("]}");
}

}  // namespace

void write_traffic_json(Sink& sink, const traffic::Snapshot& snapshot, const Build& build,
                        const Selection& selection) {
  std::vector<std::vector<std::size_t>> rows;
  if (!selection.is_all()) rows = selection.rows(snapshot.tables);
  const auto page = std::make_unique<Page>(sink);
  std::string text = dumped(head_of(snapshot, build));
  text.pop_back();
  page->text(text);
  page->text(",\"tables\":[");
  for (std::size_t i = 0; i < snapshot.tables.size(); ++i) {
    if (i != 0) page->put(',');
    write_table(*page, snapshot.tables[i], selection.is_all() ? nullptr : &rows[i]);
  }
  page->text("]}\n");
  page->flush();
}

}  // namespace nfbpf::exposition
