// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "top_client.h"

namespace nfbpf {

struct TopOptions {
  TopServer server;      // an exporter that runs
  unsigned seconds = 2;  // between two looks
  unsigned rows = 0;     // 0: as many as the terminal has room for
  bool once = false;     // two looks, one table, and end
  std::string filter;    // as the API's; empty: all
  unsigned limit = 0;    // ask for so many rows, those with most bytes so far; 0: all
};

// The busiest rows of a running exporter in a terminal, until Ctrl-C. Where standard output is
// none, a table for each look.
[[nodiscard]] Result<void> top(const TopOptions& options);

// Text from elsewhere as a terminal may have it: what could command it is '?', and at most so many
// columns; 0: as many as there are.
[[nodiscard]] std::string for_terminal(std::string_view text, unsigned columns);

}  // namespace nfbpf
