// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spdlog/formatter.h>

#include <memory>
#include <string>
#include <string_view>

#include "config/config.h"

namespace nfbpf {

// One line a message on stderr: logfmt (ts=... level=info msg="...") or JSON with the same members.
// Again while other threads log: from then on as it says now.
void set_up_logging(config::LogLevel level, config::LogFormat format);

// The formatter alone, for tests.
[[nodiscard]] std::unique_ptr<spdlog::formatter> make_formatter(config::LogFormat format);

}  // namespace nfbpf
