// SPDX-License-Identifier: Apache-2.0
#include "exposition/traffic_json.h"

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

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

json health_of(const traffic::Snapshot& snapshot) {
  json lines = json::array();
  for (const traffic::Collection& c : snapshot.collections)
    if (c.failure)
      lines.push_back(line("error", "Collector " + c.collector + ": " + c.failure->error.what));
  if (snapshot.complete() && !snapshot.counting)
    lines.push_back(line("error", "Nothing counts: what feeds the program is gone."));
  if (snapshot.unaccounted) {
    std::uint64_t lost = 0;
    for (const traffic::Unaccounted& one : *snapshot.unaccounted) lost += one.packets;
    lines.push_back(lost == 0 ? line("ok", "Every packet that the module met is in a row.")
                              : line("error", std::to_string(lost) +
                                                  " packets that the module met are in no row."));
  }
  for (const traffic::FamilyFill& family : snapshot.families)
    if (family.over)
      lines.push_back(line("warn", family.family + ": there are more rows than the " +
                                       std::to_string(family.limit) +
                                       " that may be series; the rest is in \"other\"."));
  for (const traffic::SkippedMap& map : snapshot.skipped)
    lines.push_back(line("warn", "Not shown: " + map.why));
  if (snapshot.blind_seconds && *snapshot.blind_seconds > 0)
    lines.push_back(line("warn", "Blind for " + std::to_string(*snapshot.blind_seconds) +
                                     " seconds since the attach."));
  if (lines.empty() || (lines.size() == 1 && lines[0]["level"] == "ok"))
    lines.insert(lines.begin(), line("ok", "All collectors succeed."));
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
void write_count(Page& page, std::uint64_t count) {
  constexpr std::uint64_t kExact = std::uint64_t{1} << 53U;
  if (count <= kExact) return page.number(count);
  page.put('"');
  page.number(count);
  page.put('"');
}

void write_signed(Page& page, std::int64_t count) {
  page.number(count);
}

void write_table(Page& page, const traffic::Table& table) {
  const traffic::Layout& layout = table.layout();
  json head = {{"map", layout.map},
               {"family", layout.family},
               {"labels", json::array()},
               {"counters", json::array()}};
  for (const traffic::Field& label : layout.labels) head["labels"].push_back(label.name);
  for (const traffic::Counter& counter : layout.counters)
    head["counters"].push_back(
        {{"name", counter.name},
         {"unit", counter.unit == traffic::Unit::kNanoseconds ? "nanoseconds" : "count"},
         {"type", counter.type == traffic::MetricType::kGauge ? "gauge" : "counter"}});
  std::string text = dumped(head);
  text.pop_back();  // the brace: rows follow
  page.text(text);
  page.text(",\"rows\":[");
  for (std::size_t row = 0; row < table.rows() && page.open(); ++row) {
    page.text(row == 0 ? "[" : ",\n[");
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
        write_signed(page, static_cast<std::int64_t>(values[i]));
      else
        write_count(page, values[i]);
    }
    page.put(']');
  }
  page.text("]}");
}

}  // namespace

void write_traffic_json(Sink& sink, const traffic::Snapshot& snapshot, const Build& build) {
  const auto page = std::make_unique<Page>(sink);
  std::string text = dumped(head_of(snapshot, build));
  text.pop_back();
  page->text(text);
  page->text(",\"tables\":[");
  bool first = true;
  for (const traffic::Table& table : snapshot.tables) {
    if (!first) page->put(',');
    first = false;
    write_table(*page, table);
  }
  page->text("]}\n");
  page->flush();
}

}  // namespace nfbpf::exposition
