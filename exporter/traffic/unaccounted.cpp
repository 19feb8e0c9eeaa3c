// SPDX-License-Identifier: Apache-2.0
#include "traffic/unaccounted.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace nfbpf::traffic {
namespace {

// Family and hook.
using Place = std::pair<std::string_view, std::string_view>;

// A map of the built-in program; those without a family of their own have it as a label.
struct BuiltIn {
  std::string_view map;
  std::string_view family;
};
constexpr BuiltIn kMaps[] = {
    {"nfbpf_ipv4", "ipv4"}, {"nfbpf_ipv6", "ipv6"}, {"nfbpf_overflow", ""}, {"nfbpf_filtered", ""}};

const Field* enum_field(const Layout& layout, std::string_view name) {
  const auto field = std::ranges::find(layout.labels, name, &Field::name);
  if (field == layout.labels.end() || field->kind != FieldKind::kEnum || field->size != 1)
    return nullptr;
  return &*field;
}

std::string_view enumerator(const Field& field, std::span<const std::byte> key) {
  const auto value = std::to_integer<std::uint64_t>(key[field.offset]);
  const auto name = std::ranges::find(field.names, value, &EnumName::value);
  return name == field.names.end() ? std::string_view{} : std::string_view{name->name};
}

// Directions and hooks are the same places under the names that people use for each.
std::string_view hook_of(std::string_view direction) {
  if (direction == "in") return "local_in";
  return direction == "out" ? "local_out" : direction;
}

std::optional<std::size_t> packets_of(const Layout& layout) {
  const auto packets = std::ranges::find(layout.counters, "packets", &Counter::name);
  if (packets == layout.counters.end()) return std::nullopt;
  return static_cast<std::size_t>(packets - layout.counters.begin());
}

// Adds the packets of a map to the places; false if the map does not tell them apart.
bool add_rows(std::map<Place, std::uint64_t>& sums, const Table& table, std::string_view family) {
  const Field* direction = enum_field(table.layout(), "direction");
  const Field* family_field = family.empty() ? enum_field(table.layout(), "family") : nullptr;
  const auto packets = packets_of(table.layout());
  if (direction == nullptr || !packets || (family.empty() && family_field == nullptr)) return false;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto key = table.key(row);
    const Place place{family_field == nullptr ? family : enumerator(*family_field, key),
                      hook_of(enumerator(*direction, key))};
    sums[place] += table.values(row)[*packets];
  }
  return true;
}

}  // namespace

std::optional<std::vector<Unaccounted>> unaccounted(const Table& totals,
                                                    const std::vector<Table>& tables) {
  std::map<Place, std::uint64_t> sums;
  for (const BuiltIn& built_in : kMaps) {
    bool met = false;  // the map's series, and its part of `other`
    for (const Table& table : tables) {
      if (table.layout().map != built_in.map) continue;
      if (!add_rows(sums, table, built_in.family)) return std::nullopt;
      met = true;
    }
    if (!met) return std::nullopt;
  }
  const Field* family = enum_field(totals.layout(), "family");
  const Field* hook = enum_field(totals.layout(), "hook");
  const auto packets = packets_of(totals.layout());
  if (family == nullptr || hook == nullptr || !packets) return std::nullopt;
  std::vector<Unaccounted> result;
  for (std::size_t row = 0; row < totals.rows(); ++row) {
    const auto key = totals.key(row);
    const Place place{enumerator(*family, key), enumerator(*hook, key)};
    const std::uint64_t met = totals.values(row)[*packets];
    const auto shown = sums.contains(place) ? sums.at(place) : 0;
    result.push_back(
        {std::string(place.first), std::string(place.second), met > shown ? met - shown : 0});
  }
  return result;
}

}  // namespace nfbpf::traffic
