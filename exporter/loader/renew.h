// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"
#include "loader/datapath.h"
#include "loader/manifest.h"

namespace nfbpf::loader {

// What an upgrade does: attaches where nothing is attached; else leaves datapath, maps and choices
// as they are and brings in the program of `options`, if its object is not the one that was loaded.
// The module swaps it and misses no packet. A netfilter link cannot: it is taken away and made
// anew, on the same maps, and what passes in between is not counted. An object that the kernel
// refuses, or whose maps are not those that are pinned, is refused before anything is touched.
// `how` becomes attached, renewed or unchanged.
[[nodiscard]] Result<Manifest> renew(const AttachOptions& options, std::string& how);

}  // namespace nfbpf::loader
