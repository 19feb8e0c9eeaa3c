// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace nfbpf {

struct TopOptions {
  std::string url = "http://localhost:9987";  // of an exporter that runs; http alone
  unsigned seconds = 2;                       // between two looks
  unsigned rows = 0;                          // 0: as many as the terminal has room for
  bool once = false;                          // two looks, one table, and end
};

// The busiest rows of a running exporter in a terminal, until Ctrl-C. Where standard output is
// none, a table for each look.
[[nodiscard]] Result<void> top(const TopOptions& options);

}  // namespace nfbpf
