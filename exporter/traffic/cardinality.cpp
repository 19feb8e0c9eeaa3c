// SPDX-License-Identifier: Apache-2.0
#include "traffic/cardinality.h"

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>
#include <utility>

#include "traffic/key_index.h"

namespace nfbpf::traffic {
namespace {

constexpr std::size_t kAllSets = 6;  // labels of which every set is counted
constexpr std::size_t kMostLabels = 32;

std::vector<std::uint32_t> sets_of(std::size_t labels) {
  const std::uint64_t end = std::uint64_t{1} << labels;
  std::vector<std::uint32_t> sets;
  if (labels <= kAllSets) {
    for (std::uint32_t set = 1; set < end; ++set) sets.push_back(set);
    return sets;
  }
  for (std::size_t i = 0; i < labels; ++i)
    for (std::size_t j = i; j < labels; ++j) sets.push_back(1U << i | 1U << j);
  sets.push_back(static_cast<std::uint32_t>(end - 1));
  return sets;
}

// The bytes that tell rows apart: those of the labels, and of the number that says which address a
// union holds.
std::vector<std::byte> mask_of(const Layout& layout, std::span<const std::uint32_t> labels) {
  std::vector<std::byte> mask(layout.key_size, std::byte{0});
  const auto show = [&](std::uint32_t offset, std::uint32_t size) {
    std::fill_n(mask.begin() + offset, size, std::byte{0xff});
  };
  for (const std::uint32_t label : labels) {
    const Field& field = layout.labels[label];
    show(field.offset, field.size);
    if (field.kind == FieldKind::kIpChoice) show(field.choice.offset, field.choice.size);
  }
  return mask;
}

std::uint64_t distinct(const Table& table, std::span<const std::byte> mask) {
  KeyIndex index(mask.size());
  std::vector<std::byte> key(mask.size());
  for (std::size_t row = 0; row < table.rows(); ++row) {
    std::ranges::transform(table.key(row), mask, key.begin(), std::bit_and<>());
    index.find_or_add(key);
  }
  return index.size();
}

}  // namespace

std::vector<LabelSetSize> label_set_sizes(std::span<const Table> tables) {
  std::map<std::pair<std::string, std::vector<std::string>>, std::uint64_t> sizes;
  for (const Table& table : tables) {
    const Layout& layout = table.layout();
    const std::size_t labels = std::min(layout.labels.size(), kMostLabels - 1);
    for (const std::uint32_t set : sets_of(labels)) {
      std::vector<std::uint32_t> chosen;
      std::vector<std::string> names;
      for (std::uint32_t i = 0; i < labels; ++i) {
        if ((set >> i & 1U) == 0) continue;
        chosen.push_back(i);
        names.push_back(layout.labels[i].name);
      }
      std::ranges::sort(names);
      sizes[{layout.family, std::move(names)}] += distinct(table, mask_of(layout, chosen));
    }
  }
  std::vector<LabelSetSize> result;
  for (const auto& [of, series] : sizes) result.push_back({of.first, of.second, series});
  std::ranges::stable_sort(result, [](const LabelSetSize& a, const LabelSetSize& b) {
    return std::tie(a.family, a.series) < std::tie(b.family, b.series);
  });
  return result;
}

}  // namespace nfbpf::traffic
