// SPDX-License-Identifier: Apache-2.0
#include "top_rates.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace nfbpf {
namespace {

using nlohmann::json;

// A counter: numbers that no double holds come as text.
std::uint64_t count_of(const json& value) {
  if (value.is_string()) return std::stoull(value.get<std::string>());
  return value.get<std::uint64_t>();
}

std::uint64_t less(std::uint64_t a, std::uint64_t b) {
  return a > b ? a - b : 0;
}

bool has(const json& labels, const char* name) {
  return std::ranges::find(labels, json(name)) != labels.end();
}

}  // namespace

// The first that tells source and destination, else the first there is.
void TopRates::choose_family(const json& answer) {
  if (!family_.empty()) return;
  for (const json& table : answer.at("tables"))
    if (family_.empty() && has(table.at("labels"), "source") &&
        has(table.at("labels"), "destination"))
      family_ = table.at("family").get<std::string>();
  if (family_.empty() && !answer.at("tables").empty())
    family_ = answer["tables"][0].at("family").get<std::string>();
}

TopRates::Row TopRates::row_of(const json& table, const json& cells) {
  Row row;
  const json& labels = table.at("labels");
  for (std::size_t i = 0; i < labels.size(); ++i)
    row.labels[labels[i].get<std::string>()] = cells.at(i).get<std::string>();
  const bool pair = has(labels, "source") && has(labels, "destination");
  if (pair) row.name = row.labels["source"] + " > " + row.labels["destination"];
  for (const json& label : labels)
    if (!pair || (label != "source" && label != "destination"))
      row.name += (row.name.empty() ? "" : "  ") + row.labels[label.get<std::string>()];
  const json& counters = table.at("counters");
  for (std::size_t i = 0; i < counters.size(); ++i) {
    if (counters[i].at("name") == "bytes") row.bytes = count_of(cells.at(labels.size() + i));
    if (counters[i].at("name") == "packets") row.packets = count_of(cells.at(labels.size() + i));
  }
  return row;
}

// Every row that is there now, by what it is called.
void TopRates::measure(const Map& old, const Map& now, const std::vector<std::string>& other_by,
                       std::map<std::string, RowRate>& rates) const {
  const double seconds = now.time - old.time;
  const auto add = [&](const Row& row, std::uint64_t bytes, std::uint64_t packets) {
    RowRate& rate = rates[row.name];
    rate.name = row.name;
    if (seconds <= 0) return;
    rate.bytes += static_cast<double>(bytes) / seconds;
    rate.packets += static_cast<double>(packets) / seconds;
  };
  for (const auto& [key, row] : now.rows) {
    const auto before = old.rows.find(key);
    if (before != old.rows.end())
      add(row, less(row.bytes, before->second.bytes), less(row.packets, before->second.packets));
    else if (!partial_)  // it began since
      add(row, row.bytes, row.packets);
  }
  // What rows that are gone had is in `other` now, and is no traffic there.
  const auto cell_of = [&](const Row& row) {
    std::string cell;
    for (const std::string& label : other_by)
      if (const auto value = row.labels.find(label); value != row.labels.end())
        cell += value->second + '\0';
    return cell;
  };
  std::map<std::string, Row> left;
  for (const auto& [key, row] : old.rows) {
    if (now.rows.contains(key)) continue;
    Row& sum = left[cell_of(row)];
    sum.bytes += row.bytes;
    sum.packets += row.packets;
  }
  for (const auto& [key, row] : now.other) {
    const auto found = old.other.find(key);
    const Row before = found == old.other.end() ? Row{} : found->second;
    const Row& gone = left[cell_of(row)];
    add(row, less(less(row.bytes, before.bytes), gone.bytes),
        less(less(row.packets, before.packets), gone.packets));
  }
}

std::vector<RowRate> TopRates::next(const json& answer) {
  choose_family(answer);
  std::map<std::string, Map> now;
  std::map<std::string, std::vector<std::string>> other_by;
  for (const json& table : answer.at("tables")) {
    if (table.at("family") != family_) continue;
    const auto name = table.at("map").get<std::string>();
    Map& map = now[name];
    map.time = answer.at("time").get<double>();
    const bool is_other = table.contains("other_by");
    if (is_other) other_by[name] = table["other_by"].get<std::vector<std::string>>();
    for (const json& cells : table.at("rows")) {
      Row row = row_of(table, cells);
      std::string key;
      for (const auto& [label, value] : row.labels) key += value + '\0';
      (is_other ? map.other : map.rows).insert_or_assign(std::move(key), std::move(row));
    }
  }
  std::map<std::string, RowRate> rates;
  for (auto& [name, map] : now) {
    const auto old = maps_.find(name);
    // A map that was not there before may have counted for long.
    measure(old == maps_.end() ? map : old->second, map, other_by[name], rates);
    maps_.insert_or_assign(name, std::move(map));
  }
  std::vector<RowRate> all;
  for (auto& [name, rate] : rates) all.push_back(std::move(rate));
  std::ranges::sort(all, [](const RowRate& a, const RowRate& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.name < b.name;
  });
  return all;
}

}  // namespace nfbpf
