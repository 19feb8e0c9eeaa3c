// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "exposition/dialect.h"
#include "exposition/page.h"
#include "traffic/families.h"

namespace nfbpf::exposition {

// A traffic family: its head and a line per row, straight from the packed keys. Nothing when it has
// no rows.
void write_family(Page& page, const Dialect& dialect, const traffic::Family& family);

}  // namespace nfbpf::exposition
