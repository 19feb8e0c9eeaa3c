// SPDX-License-Identifier: Apache-2.0
#include "loader/netfilter_link.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace nfbpf::loader {
namespace {

constexpr __u32 kAttachTypeNetfilter = 45;

struct NamedHook {
  std::string_view word;
  HookPoint v4, v6;
};

constexpr std::array kHooks = {
    NamedHook{"pre",
              {"ipv4_prerouting", NFPROTO_IPV4, NF_INET_PRE_ROUTING},
              {"ipv6_prerouting", NFPROTO_IPV6, NF_INET_PRE_ROUTING}},
    NamedHook{"in",
              {"ipv4_local_in", NFPROTO_IPV4, NF_INET_LOCAL_IN},
              {"ipv6_local_in", NFPROTO_IPV6, NF_INET_LOCAL_IN}},
    NamedHook{"forward",
              {"ipv4_forward", NFPROTO_IPV4, NF_INET_FORWARD},
              {"ipv6_forward", NFPROTO_IPV6, NF_INET_FORWARD}},
    NamedHook{"out",
              {"ipv4_local_out", NFPROTO_IPV4, NF_INET_LOCAL_OUT},
              {"ipv6_local_out", NFPROTO_IPV6, NF_INET_LOCAL_OUT}},
    NamedHook{"post",
              {"ipv4_postrouting", NFPROTO_IPV4, NF_INET_POST_ROUTING},
              {"ipv6_postrouting", NFPROTO_IPV6, NF_INET_POST_ROUTING}},
};

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t comma = text.find(',');
    words.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return words;
    text.remove_prefix(comma + 1);
  }
}

// union bpf_attr as BPF_LINK_CREATE reads it for netfilter; older headers lack these members.
struct LinkCreateNetfilter {
  __u32 prog_fd;
  __u32 target_fd;
  __u32 attach_type;
  __u32 flags;
  __u32 pf;
  __u32 hooknum;
  __s32 priority;
  __u32 netfilter_flags;
};

}  // namespace

Result<std::vector<HookPoint>> hook_points(const std::string& hooks, const std::string& families) {
  bool v4 = false;
  bool v6 = false;
  for (const std::string_view family : split(families)) {
    if (family != "ipv4" && family != "ipv6") {
      return fail("--families: \"" + std::string(family) +
                  "\" is unknown; give ipv4, ipv6 or both");
    }
    (family == "ipv4" ? v4 : v6) = true;
  }
  std::vector<HookPoint> points;
  std::vector<std::string_view> given;
  for (const std::string_view word : split(hooks)) {
    const auto name = word.substr(0, word.find(':'));
    const auto* hook = std::find_if(kHooks.begin(), kHooks.end(),
                                    [&](const NamedHook& known) { return known.word == name; });
    if (hook == kHooks.end()) {
      return fail("--hooks: \"" + std::string(name) +
                  "\" is unknown; give a list of pre, in, forward, out, post");
    }
    if (std::find(given.begin(), given.end(), name) != given.end()) {
      return fail("--hooks: \"" + std::string(name) + "\" is given twice; give each hook once");
    }
    given.push_back(name);
    if (v4) points.push_back(hook->v4);
    if (v6) points.push_back(hook->v6);
  }
  return points;
}

Result<void> attach_links(int program_fd, const std::vector<HookPoint>& points, int priority,
                          const std::filesystem::path& links_dir, Undo& undo) {
  // The kernel keeps the very first and last place for itself (net/netfilter/nf_bpf_link.c).
  priority = std::clamp(priority, NF_IP_PRI_FIRST + 1, NF_IP_PRI_LAST - 1);
  for (const HookPoint& point : points) {
    LinkCreateNetfilter attr{static_cast<__u32>(program_fd),
                             0,
                             kAttachTypeNetfilter,
                             0,
                             point.family,
                             point.hook,
                             priority,
                             0};
    const UniqueFd link(static_cast<int>(::syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr))));
    if (!link) {
      const int err = errno;
      return fail_errno(err, std::string("attach a netfilter link at ") + point.name +
                                 " with priority " + std::to_string(priority) +
                                 (err == EBUSY ? ", where another program is (nfbpf-load with "
                                                 "another --pin-dir?): give another --priority"
                                               : ""));
    }
    const auto pin = links_dir / point.name;
    if (bpf_obj_pin(link.get(), pin.c_str()) != 0) {
      return fail_errno(errno, "pin the link at " + pin.string());
    }
    undo.add([pin] { ::unlink(pin.c_str()); });
  }
  return {};
}

}  // namespace nfbpf::loader
