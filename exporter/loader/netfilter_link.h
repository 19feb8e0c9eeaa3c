// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "loader/undo.h"

namespace nfbpf::loader {

// One place to attach to: family is NFPROTO_IPV4 or _IPV6, hook is an NF_INET_ number.
struct HookPoint {
  const char* name;  // as the module's sysfs folders are called, e.g. "ipv4_local_in"
  unsigned int family;
  unsigned int hook;
};

// "in,forward,out" x "ipv4,ipv6" -> points; a word that is unknown or given twice is an
// error that names it.
[[nodiscard]] Result<std::vector<HookPoint>> hook_points(const std::string& hooks,
                                                         const std::string& families);

// Attaches the program (type netfilter) at every point in the caller's network namespace and pins
// each link at links_dir/NAME. `priority` as in the module. Source: uapi/linux/bpf.h, 6.4.
[[nodiscard]] Result<void> attach_links(int program_fd, const std::vector<HookPoint>& points,
                                        int priority, const std::filesystem::path& links_dir,
                                        Undo& undo);

}  // namespace nfbpf::loader
