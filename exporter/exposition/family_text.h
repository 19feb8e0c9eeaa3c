// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "exposition/dialect.h"
#include "exposition/page.h"
#include "traffic/families.h"

namespace nfbpf::exposition {

// A traffic family: its head and a line per row, straight from the packed keys. Nothing when it has
// no rows.
void write_family(Page& page, const Dialect& dialect, const traffic::Family& family);

// A bucket's bound as Prometheus 3 and OpenMetrics write it ("1.0", "0.25", "1e+06"), in every
// format, so that a series keeps its name whichever of them is scraped.
[[nodiscard]] std::string bound_text(double bound);

}  // namespace nfbpf::exposition
