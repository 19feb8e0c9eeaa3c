// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "exposition/page.h"
#include "exposition/selection.h"
#include "exposition/self_metrics.h"
#include "traffic/snapshot.h"

namespace nfbpf::exposition {

// Writes a snapshot as docs/api.md has it: what is known of its health in words, then each table
// with its rows, as they are counted and not as rates.
void write_traffic_json(Sink& sink, const traffic::Snapshot& snapshot, const Build& build,
                        const Selection& selection = {});

}  // namespace nfbpf::exposition
