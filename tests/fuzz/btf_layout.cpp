// SPDX-License-Identifier: Apache-2.0
// BTF that any tool may have pinned: four numbers (types and sizes of key and value), then the
// blob. What can be shown is shown: a row of it is rendered, inside the bytes that the map has.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "exposition/dialect.h"
#include "exposition/family_text.h"
#include "reader/layout.h"
#include "traffic/families.h"

namespace {

using namespace nfbpf;

class Nowhere final : public exposition::Sink {
 public:
  [[nodiscard]] bool write(std::string_view) override { return true; }
};

void render(const traffic::Layout& layout) {
  std::vector<traffic::Table> tables;
  tables.emplace_back(std::make_shared<const traffic::Layout>(layout), 1);
  std::vector<std::byte> key(layout.key_size, std::byte{0xa5});
  for (std::uint64_t& value : tables[0].append(key.data())) value = ~std::uint64_t{0};
  tables[0] = traffic::fold_hidden(std::move(tables[0]));
  const auto set = traffic::FamilySet::build(tables, {});
  Nowhere nowhere;
  const auto page = std::make_unique<exposition::Page>(nowhere);
  const exposition::OpenMetricsDialect dialect;
  for (const traffic::Family& family : set.families())
    exposition::write_family(*page, dialect, family);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  std::uint16_t numbers[4] = {};
  if (size < sizeof(numbers)) return -1;
  std::memcpy(numbers, data, sizeof(numbers));
  const auto blob = std::as_bytes(std::span(data + sizeof(numbers), size - sizeof(numbers)));
  const auto btf = reader::Btf::parse(blob, "f");
  if (!btf) return 0;
  const reader::MapTypes types{"map", numbers[0], numbers[1], numbers[2], numbers[3]};
  (void)reader::is_state(*btf, types.value_type_id);
  const auto layout = reader::decode_layout(*btf, types);
  if (!layout) return layout.error().what.empty() ? (std::abort(), 0) : 0;
  for (const traffic::Field& field : layout->labels)
    if (std::uint64_t{field.offset} + field.size > layout->key_size) std::abort();
  for (const traffic::Counter& counter : layout->counters)
    if (std::uint64_t{counter.offset} + counter.size > layout->value_size) std::abort();
  render(*layout);
  return 0;
}
