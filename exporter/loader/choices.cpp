// SPDX-License-Identifier: Apache-2.0
#include "loader/choices.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <span>
#include <string_view>

#include "abi/nfbpf.h"
#include "loader/constants.h"

namespace nfbpf::loader {
namespace {

constexpr std::uint32_t kDefaultParts = NFBPF_KEY_PART_DIRECTION | NFBPF_KEY_PART_PROTOCOL;

struct Part {
  std::string_view word;
  std::uint32_t bit;
  std::vector<std::string_view> labels;
};

const std::vector<Part>& parts() {
  static const std::vector<Part> all = {
      {"protocol", NFBPF_KEY_PART_PROTOCOL, {"protocol"}},
      {"direction", NFBPF_KEY_PART_DIRECTION, {"direction"}},
      {"ports", NFBPF_KEY_PART_PORTS, {"source_port", "destination_port"}},
      {"service", NFBPF_KEY_PART_SERVICE, {"service_port"}},
      {"icmp", NFBPF_KEY_PART_ICMP, {"icmp_type", "icmp_code"}},
      {"tcp", NFBPF_KEY_PART_TCP_CLASS, {"tcp_class"}},
      {"interfaces", NFBPF_KEY_PART_INTERFACES, {"in_interface", "out_interface"}},
      {"netns", NFBPF_KEY_PART_NETNS, {"netns"}},
  };
  return all;
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    words.push_back(list.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

// The first `bits` of an address, in network order; a part that is not chosen keeps none.
template <std::size_t N>
std::array<std::uint32_t, N> mask(bool chosen, unsigned bits) {
  std::array<std::uint32_t, N> words{};
  unsigned left = chosen ? bits : 0;
  for (std::uint32_t& word : words) {
    const unsigned here = std::min(left, 32U);
    word = here == 0 ? 0 : htonl(~std::uint32_t{0} << (32 - here));
    left -= here;
  }
  return words;
}

struct Constant {
  std::string_view name;
  std::span<const std::byte> bytes;
  bool wished;  // another value than a program without the constant has
};

Result<void> set_constant(bpf_object* object, const Constant& constant, bool strict) {
  const auto found = find_constant(object, constant.name);
  const std::string name(constant.name);
  if (!found) {
    if (!constant.wished || !strict) return {};
    return fail("the program has no constant \"" + name +
                "\" to set: it does not know that choice; leave the option out");
  }
  if (found->size() != constant.bytes.size()) {
    return fail("constant " + name + " is " + std::to_string(found->size()) +
                " bytes wide, nfbpf-load writes " + std::to_string(constant.bytes.size()) +
                ": rebuild the program against bpf/abi/nfbpf.h");
  }
  std::ranges::copy(constant.bytes, found->begin());
  return {};
}

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

// LPM tries and port rules that no instruction asks.
void leave_out_filters(bpf_object* object) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (std::string_view(bpf_map__name(map)).starts_with(NFBPF_FILTER_PREFIX))
      bpf_map__set_autocreate(map, false);
  }
}

}  // namespace

Choices default_choices() {
  return {.key_parts = kDefaultParts};
}

bool Choices::wide() const {
  return (key_parts & ~kDefaultParts) != 0;
}

bool Choices::plain() const {
  return source && destination && key_parts == kDefaultParts && ipv4_prefix == 32 &&
         ipv6_prefix == 128 && sample_every == 1 && !filters;
}

std::vector<std::string> Choices::hidden_labels() const {
  std::vector<std::string> hidden;
  if (!source) hidden.emplace_back("source");
  if (!destination) hidden.emplace_back("destination");
  for (const Part& part : parts()) {
    if ((key_parts & part.bit) == 0)
      hidden.insert(hidden.end(), part.labels.begin(), part.labels.end());
  }
  return hidden;
}

std::string key_words(const Choices& choices) {
  std::string words;
  const auto add = [&](std::string_view word) {
    words += (words.empty() ? "" : ",") + std::string(word);
  };
  if (choices.source) add("source");
  if (choices.destination) add("destination");
  for (const Part& part : parts())
    if ((choices.key_parts & part.bit) != 0) add(part.word);
  return words;
}

Result<void> choose_key(Choices& choices, const std::string& list) {
  choices.source = choices.destination = false;
  choices.key_parts = 0;
  for (const std::string& word : split(list)) {
    const auto part = std::ranges::find(parts(), word, &Part::word);
    if (word == "source") {
      choices.source = true;
    } else if (word == "destination") {
      choices.destination = true;
    } else if (part != parts().end()) {
      choices.key_parts |= part->bit;
    } else {
      return fail("--key: \"" + word +
                  "\" is no part of a key; give a list of source, destination, protocol, "
                  "direction, ports, service, icmp, tcp, interfaces, netns");
    }
  }
  return {};
}

Result<void> set_choices(bpf_object* object, const Choices& choices, bool strict,
                         bool atomic_adds) {
  const auto source4 = mask<1>(choices.source, choices.ipv4_prefix);
  const auto destination4 = mask<1>(choices.destination, choices.ipv4_prefix);
  const auto source6 = mask<4>(choices.source, choices.ipv6_prefix);
  const auto destination6 = mask<4>(choices.destination, choices.ipv6_prefix);
  // The short way adds plainly.
  const bool plain = choices.plain() && !atomic_adds;
  const bool other_masks = !choices.source || !choices.destination || choices.ipv4_prefix != 32 ||
                           choices.ipv6_prefix != 128;
  const std::array<Constant, 10> constants{{
      {"count_loopback", bytes_of(choices.count_loopback), choices.count_loopback},
      {"key_parts", bytes_of(choices.key_parts), choices.key_parts != kDefaultParts},
      {"ipv4_source_mask", bytes_of(source4), other_masks},
      {"ipv4_destination_mask", bytes_of(destination4), other_masks},
      {"ipv6_source_mask", bytes_of(source6), other_masks},
      {"ipv6_destination_mask", bytes_of(destination6), other_masks},
      {"sample_every", bytes_of(choices.sample_every), choices.sample_every != 1},
      {"filters", bytes_of(choices.filters), choices.filters},
      {"plain", bytes_of(plain), false},
      {"atomic_adds", bytes_of(atomic_adds), false},
  }};
  for (const Constant& constant : constants)
    if (auto ok = set_constant(object, constant, strict); !ok) return ok;
  if (!choices.filters) leave_out_filters(object);
  return {};
}

}  // namespace nfbpf::loader
