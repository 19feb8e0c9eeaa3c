// SPDX-License-Identifier: Apache-2.0
// What an exporter before us left in the kernel: any bytes are a state or an error, and a state can
// be shown, saved and read again.
#include <cstdlib>
#include <memory>

#include "traffic/continuity.h"
#include "traffic/ledgers.h"

namespace {

using namespace nfbpf;

std::shared_ptr<const traffic::Layout> layout() {
  traffic::Layout layout;
  layout.map = "m";
  layout.family = "f";
  layout.key_size = 6;
  layout.labels = {{"direction", traffic::FieldKind::kEnum, 0, 1, {{1, "in"}, {2, "out"}}, {}},
                   {"source", traffic::FieldKind::kIpv4, 2, 4, {}, {}}};
  layout.counters = {{"packets", 0, 8}, {"bytes", 8, 8}};
  return std::make_shared<const traffic::Layout>(layout);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const auto state = std::as_bytes(std::span(data, size));
  static const std::vector<traffic::LedgerPart> parts = {{layout(), true}};
  traffic::Ledgers ledgers(parts, {.series_limit = 8});
  if (ledgers.restore(state)) {
    const std::vector<traffic::Table> live = {traffic::Table(parts[0].layout, 8)};
    (void)ledgers.show(live);
    (void)ledgers.rank(live, 1000);
    traffic::Ledgers again(parts, {.series_limit = 8});
    if (!again.restore(ledgers.save())) std::abort();
  }
  traffic::Continuity continuity;
  if (continuity.restore(state)) {
    traffic::Continuity again;
    if (!again.restore(continuity.save())) std::abort();
  }
  return 0;
}
