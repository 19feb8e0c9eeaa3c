// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace nfbpf::loader {

// What of a packet becomes a part of its key, and which packets are counted: constants of the
// program, set before the load, so that what is not chosen costs no instruction.
struct Choices {
  bool source = true;
  bool destination = true;
  std::uint32_t key_parts = 0;  // enum nfbpf_key_part; default_choices() has the usual ones
  unsigned ipv4_prefix = 32;    // bits of an address that are kept
  unsigned ipv6_prefix = 128;
  std::uint32_t sample_every = 1;  // one packet in so many is counted, as if it were all of them
  bool count_loopback = false;
  bool filters = false;  // rules of `nfbpf-load filter` are asked for each packet

  // Whether the program with the wide keys is needed.
  [[nodiscard]] bool wide() const;
  // Whether all but count_loopback is as default_choices() has it.
  [[nodiscard]] bool plain() const;
  // Labels of the pair maps that say nothing, because their part was not chosen.
  [[nodiscard]] std::vector<std::string> hidden_labels() const;

  friend bool operator==(const Choices&, const Choices&) = default;
};

// Source, destination, protocol and direction.
[[nodiscard]] Choices default_choices();

// `list` is of source, destination, protocol, direction, ports, service, icmp, tcp, interfaces,
// netns, with commas between them. What is not in it is not in the key.
[[nodiscard]] Result<void> choose_key(Choices& choices, const std::string& list);

// The words of choose_key() that give these choices.
[[nodiscard]] std::string key_words(const Choices& choices);

// Sets the constants of an object that is open and not loaded yet, and leaves out maps that nothing
// would use. A program without a constant has no such choice: a wish for one is an error if
// `strict`, else it is passed over. `atomic_adds`: see ObjectOptions.
[[nodiscard]] Result<void> set_choices(bpf_object* object, const Choices& choices, bool strict,
                                       bool atomic_adds = false);

}  // namespace nfbpf::loader
