// SPDX-License-Identifier: Apache-2.0
#include "bpf/traffic/model.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <span>

#include "abi/nfbpf.h"

namespace nfbpf::traffic_test {
namespace {

using packet::Bytes;

constexpr std::uint32_t kLoopback = 1;  // ifindex of lo
const std::set<unsigned> kExtensions{0, 43, 44, 51, 60};
const std::set<unsigned> kWithPorts{6, 17, 33, 132, 136};
constexpr int kMostExtensions = 8;

std::optional<unsigned> byte_at(const Bytes& bytes, std::size_t at) {
  if (at >= bytes.size()) return std::nullopt;
  return bytes[at];
}

std::optional<unsigned> word_at(const Bytes& bytes, std::size_t at) {
  if (at + 2 > bytes.size()) return std::nullopt;
  return bytes[at] * 256U + bytes[at + 1];
}

// The header behind IP.
struct Upper {
  unsigned protocol = 0;
  std::optional<std::size_t> at;  // none: it is in another fragment, or cut off
};

Upper upper_of_ipv4(const Bytes& bytes) {
  Upper upper{bytes[9], std::nullopt};
  const unsigned header = bytes[0] % 16U * 4;
  const bool later_fragment = *word_at(bytes, 6) % 0x2000U != 0;
  if (!later_fragment && header >= 20) upper.at = header;
  return upper;
}

// How long an extension header is (RFC 8200 4, RFC 4302 2.2).
std::size_t extension_size(unsigned type, unsigned length_byte) {
  if (type == 44) return 8;
  if (type == 51) return (length_byte + 2) * 4;
  return (length_byte + 1) * 8;
}

Upper upper_of_ipv6(const Bytes& bytes) {
  Upper upper{bytes[6], 40};
  for (int i = 0; i < kMostExtensions && kExtensions.contains(upper.protocol); ++i) {
    const std::size_t at = *upper.at;
    if (at + 4 > bytes.size()) return {upper.protocol, std::nullopt};
    const unsigned type = upper.protocol;
    upper.protocol = bytes[at];
    if (type == 44 && *word_at(bytes, at + 2) / 8 != 0) return {upper.protocol, std::nullopt};
    upper.at = at + extension_size(type, bytes[at + 1]);
  }
  return upper;
}

// What each segment of a GSO packet has in front of its payload.
std::size_t repeated(const Bytes& bytes, bool ipv6) {
  std::size_t at = 0;
  unsigned protocol = 0;
  if (ipv6) {
    if (bytes.size() < 7) return 40;
    const Upper upper = upper_of_ipv6(bytes);
    if (!upper.at) return 40;
    at = *upper.at;
    protocol = upper.protocol;
  } else {
    if (bytes.size() < 10) return 20;
    at = bytes[0] % 16U * 4;
    protocol = bytes[9];
  }
  if (protocol == 17) return at + 8;
  if (protocol == 132) return at + 12;
  if (protocol == 6 && byte_at(bytes, at + 12)) return at + *byte_at(bytes, at + 12) / 16 * 4;
  return at;
}

Count weight(const Met& met, bool ipv6) {
  const std::uint64_t length = met.bytes.size();
  if (met.gso_size == 0) return {1, length};
  const std::size_t headers = repeated(met.bytes, ipv6);
  std::uint64_t segments = met.gso_segments;
  if (segments == 0 && length > headers)
    segments = (length - headers + met.gso_size - 1) / met.gso_size;
  segments = std::max<std::uint64_t>(segments, 1);
  return {segments, length + (segments - 1) * headers};
}

template <typename T>
Key key_of(const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  return {bytes.begin(), bytes.end()};
}

void keep_prefix(std::uint8_t* address, std::size_t size, bool chosen, unsigned prefix) {
  for (unsigned bit = 0; bit < size * 8; ++bit)
    if (!chosen || bit >= prefix)
      address[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> bit % 8));
}

struct Ports {
  unsigned source = 0, destination = 0;
};

std::optional<Ports> ports_of(const Bytes& bytes, const Upper& upper) {
  if (!kWithPorts.contains(upper.protocol) || !upper.at || *upper.at + 4 > bytes.size())
    return std::nullopt;
  return Ports{*word_at(bytes, *upper.at), *word_at(bytes, *upper.at + 2)};
}

nfbpf_tcp_class tcp_class_of(const Bytes& bytes, const Upper& upper) {
  const auto flags =
      upper.protocol == 6 && upper.at ? byte_at(bytes, *upper.at + 13) : std::nullopt;
  if (!flags) return NFBPF_TCP_CLASS_NONE;
  if ((*flags & 4U) != 0) return NFBPF_TCP_CLASS_RST;
  if ((*flags & 2U) != 0)
    return (*flags & 16U) != 0 ? NFBPF_TCP_CLASS_SYN_ACK : NFBPF_TCP_CLASS_SYN;
  return (*flags & 1U) != 0 ? NFBPF_TCP_CLASS_FIN : NFBPF_TCP_CLASS_DATA;
}

// The members that both wide keys share.
template <typename FlowKey>
void fill_flow(FlowKey& key, const loader::Choices& choices, const Met& met, const Upper& upper,
               bool ipv6) {
  const auto has = [&](nfbpf_key_part part) { return (choices.key_parts & part) != 0; };
  const Ports ports = ports_of(met.bytes, upper).value_or(Ports{});
  if (has(NFBPF_KEY_PART_PORTS)) {
    key.source_port = htons(static_cast<std::uint16_t>(ports.source));
    key.destination_port = htons(static_cast<std::uint16_t>(ports.destination));
  }
  if (has(NFBPF_KEY_PART_SERVICE))
    key.service_port = htons(static_cast<std::uint16_t>(std::min(ports.source, ports.destination)));
  const unsigned icmp = ipv6 ? 58 : 1;
  if (has(NFBPF_KEY_PART_ICMP) && upper.protocol == icmp && upper.at &&
      *upper.at + 2 <= met.bytes.size()) {
    key.icmp_type = met.bytes[*upper.at];
    key.icmp_code = met.bytes[*upper.at + 1];
  }
  if (has(NFBPF_KEY_PART_TCP_CLASS)) key.tcp_class = tcp_class_of(met.bytes, upper);
  if (has(NFBPF_KEY_PART_INTERFACES)) {
    key.in_interface = met.context[NFBPF_CB_IN_IFINDEX];
    key.out_interface = met.context[NFBPF_CB_OUT_IFINDEX];
  }
  if (has(NFBPF_KEY_PART_NETNS)) key.netns = met.context[NFBPF_CB_NETNS];
}

template <typename AnyKey>
Key pair_key(const loader::Choices& choices, const Met& met, const Upper& upper, bool ipv6) {
  AnyKey key{};
  const std::size_t size = ipv6 ? 16 : 4;
  const std::size_t at = ipv6 ? 8 : 12;
  std::memcpy(&key.source, met.bytes.data() + at, size);
  std::memcpy(&key.destination, met.bytes.data() + at + size, size);
  const unsigned prefix = ipv6 ? choices.ipv6_prefix : choices.ipv4_prefix;
  keep_prefix(reinterpret_cast<std::uint8_t*>(&key.source), size, choices.source, prefix);
  keep_prefix(reinterpret_cast<std::uint8_t*>(&key.destination), size, choices.destination, prefix);
  if ((choices.key_parts & NFBPF_KEY_PART_PROTOCOL) != 0)
    key.protocol = static_cast<nfbpf_protocol_t>(upper.protocol);
  if ((choices.key_parts & NFBPF_KEY_PART_DIRECTION) != 0)
    key.direction = static_cast<nfbpf_direction>(met.context[NFBPF_CB_DIRECTION]);
  if constexpr (requires { key.netns; }) fill_flow(key, choices, met, upper, ipv6);
  return key_of(key);
}

// ---- rules ----

using RuleMap = std::map<loader::Rules::Key, std::uint32_t>;

// The longest network that holds the address.
template <typename RuleKey>
std::uint32_t longest_match(const RuleMap& rules, const std::uint8_t* address, std::size_t size) {
  std::uint32_t verdict = NFBPF_VERDICT_NONE;
  long longest = -1;
  for (const auto& [raw, rule] : rules) {
    RuleKey key{};
    std::memcpy(&key, raw.data(), sizeof(key));
    std::array<std::uint8_t, 16> mine{};
    std::memcpy(mine.data(), address, size);
    keep_prefix(mine.data(), size, true, key.prefix_length);
    if (std::memcmp(mine.data(), &key.address, size) != 0) continue;
    if (static_cast<long>(key.prefix_length) <= longest) continue;
    longest = key.prefix_length;
    verdict = rule;
  }
  return verdict;
}

template <typename T>
std::uint32_t exact_match(const RuleMap& rules, T value) {
  const auto rule = rules.find(key_of(value));
  return rule == rules.end() ? std::uint32_t{NFBPF_VERDICT_NONE} : rule->second;
}

bool passes(const RuleMap& rules, std::initializer_list<std::uint32_t> verdicts) {
  if (std::ranges::count(verdicts, std::uint32_t{NFBPF_VERDICT_DENY}) != 0) return false;
  if (std::ranges::count(verdicts, std::uint32_t{NFBPF_VERDICT_ALLOW}) != 0) return true;
  return std::ranges::none_of(rules,
                              [](const auto& rule) { return rule.second == NFBPF_VERDICT_ALLOW; });
}

bool passes_all(const loader::Rules& rules, const Met& met, const Upper& upper, bool ipv6) {
  const std::uint8_t* source = met.bytes.data() + (ipv6 ? 8 : 12);
  const bool addresses =
      ipv6 ? passes(rules.ipv6, {longest_match<nfbpf_filter_ipv6_key>(rules.ipv6, source, 16),
                                 longest_match<nfbpf_filter_ipv6_key>(rules.ipv6, source + 16, 16)})
           : passes(rules.ipv4, {longest_match<nfbpf_filter_ipv4_key>(rules.ipv4, source, 4),
                                 longest_match<nfbpf_filter_ipv4_key>(rules.ipv4, source + 4, 4)});
  if (!addresses) return false;
  if (!passes(rules.protocol, {exact_match(rules.protocol, std::uint32_t{upper.protocol})}))
    return false;
  const auto ports = ports_of(met.bytes, upper);
  if (!ports) return true;
  return passes(rules.port,
                {exact_match(rules.port, htons(static_cast<std::uint16_t>(ports->source))),
                 exact_match(rules.port, htons(static_cast<std::uint16_t>(ports->destination)))});
}

void add(Rows& rows, const Key& key, const Count& count) {
  Count& row = rows[key];
  row.packets += count.packets;
  row.bytes += count.bytes;
}

nfbpf_family family_of(const Met& met) {
  if (met.context[NFBPF_CB_DIRECTION] != 0)
    return static_cast<nfbpf_family>(met.context[NFBPF_CB_FAMILY]);
  if (met.ethertype == 0x0800) return NFBPF_FAMILY_IPV4;
  return met.ethertype == 0x86dd ? NFBPF_FAMILY_IPV6 : NFBPF_FAMILY_UNKNOWN;
}

}  // namespace

std::uint32_t Model::meet(const Met& met) {
  const nfbpf_family family = family_of(met);
  const auto direction = static_cast<nfbpf_direction>(met.context[NFBPF_CB_DIRECTION]);
  const bool ipv6 = family == NFBPF_FAMILY_IPV6;
  const Count count = weight(met, ipv6);
  const auto filter = [&](nfbpf_filtered_reason reason) {
    add(maps_.filtered, key_of(nfbpf_filtered_key{direction, family, reason, 0}), count);
    return 0U;
  };
  if (!choices_.count_loopback && (met.context[NFBPF_CB_IN_IFINDEX] == kLoopback ||
                                   met.context[NFBPF_CB_OUT_IFINDEX] == kLoopback))
    return filter(NFBPF_FILTERED_REASON_LOOPBACK);
  if (family == NFBPF_FAMILY_UNKNOWN || met.bytes.size() < (ipv6 ? 40 : 20))
    return filter(NFBPF_FILTERED_REASON_MALFORMED);
  const Upper upper = ipv6 ? upper_of_ipv6(met.bytes) : upper_of_ipv4(met.bytes);
  if (choices_.filters && !passes_all(rules_, met, upper, ipv6))
    return filter(NFBPF_FILTERED_REASON_RULE);

  Key key;
  if (choices_.wide())
    key = ipv6 ? pair_key<nfbpf_ipv6_flow_key>(choices_, met, upper, true)
               : pair_key<nfbpf_ipv4_flow_key>(choices_, met, upper, false);
  else
    key = ipv6 ? pair_key<nfbpf_ipv6_key>(choices_, met, upper, true)
               : pair_key<nfbpf_ipv4_key>(choices_, met, upper, false);
  Rows& rows = ipv6 ? maps_.ipv6 : maps_.ipv4;
  if (rows.contains(key) || rows.size() < pairs_)
    add(rows, key, count);
  else
    add(maps_.overflow,
        key_of(nfbpf_overflow_key{direction, family, NFBPF_OVERFLOW_REASON_FULL, 0}), count);
  return 1;
}

}  // namespace nfbpf::traffic_test
