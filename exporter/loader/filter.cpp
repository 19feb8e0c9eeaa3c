// SPDX-License-Identifier: Apache-2.0
#include "loader/filter.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <netdb.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <span>
#include <sstream>
#include <string_view>

#include "abi/nfbpf.h"
#include "base/unique_fd.h"

namespace nfbpf::loader {
namespace fs = std::filesystem;
namespace {

using Key = Rules::Key;

// ---- words ----

template <typename T>
Key key_of(const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  return {bytes.begin(), bytes.end()};
}

template <typename T>
T value_of(const Key& key) {
  T value{};
  std::memcpy(&value, key.data(), std::min(key.size(), sizeof(value)));
  return value;
}

Result<unsigned> number(std::string_view text, unsigned limit, const char* what) {
  unsigned value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size() || value > limit)
    return fail(std::string(what) + " \"" + std::string(text) + "\" is no number from 0 to " +
                std::to_string(limit));
  return value;
}

// Bits behind the prefix must be 0: "10.0.0.1/8" is a mistake more often than a network.
bool has_host_bits(const std::uint8_t* address, unsigned size, unsigned prefix) {
  for (unsigned bit = prefix; bit < size * 8; ++bit)
    if ((address[bit / 8] >> (7 - bit % 8) & 1) != 0) return true;
  return false;
}

Result<void> add_network(Rules& rules, const std::string& word, std::uint32_t verdict) {
  const std::size_t slash = word.find('/');
  const std::string address = word.substr(0, slash);
  const bool ipv6 = address.find(':') != std::string::npos;
  std::array<std::uint8_t, 16> bytes{};
  if (::inet_pton(ipv6 ? AF_INET6 : AF_INET, address.c_str(), bytes.data()) != 1)
    return fail("\"" + word + "\" is no address, network, \"protocol NAME\" or \"port NUMBER\"");
  const unsigned bits = ipv6 ? 128 : 32;
  unsigned prefix = bits;
  if (slash != std::string::npos) {
    const auto given = number(word.substr(slash + 1), bits, "prefix length");
    if (!given) return tl::unexpected(given.error());
    prefix = *given;
  }
  if (has_host_bits(bytes.data(), bits / 8, prefix))
    return fail("network " + word + " has bits set behind its prefix of " + std::to_string(prefix));
  if (ipv6) {
    nfbpf_filter_ipv6_key key{prefix, {}};
    std::memcpy(&key.address, bytes.data(), sizeof(key.address));
    rules.ipv6[key_of(key)] = verdict;
  } else {
    nfbpf_filter_ipv4_key key{prefix, {}};
    std::memcpy(&key.address, bytes.data(), sizeof(key.address));
    rules.ipv4[key_of(key)] = verdict;
  }
  return {};
}

Result<void> add_protocol(Rules& rules, const std::string& word, std::uint32_t verdict) {
  std::uint32_t protocol = 0;
  if (const protoent* known = ::getprotobyname(word.c_str())) {
    protocol = static_cast<std::uint32_t>(known->p_proto);
  } else {
    const auto given = number(word, 255, "protocol");
    if (!given) return fail(given.error().what + " and no name in /etc/protocols");
    protocol = *given;
  }
  rules.protocol[key_of(protocol)] = verdict;
  return {};
}

Result<void> add_port(Rules& rules, const std::string& word, std::uint32_t verdict) {
  const auto given = number(word, 65535, "port");
  if (!given) return tl::unexpected(given.error());
  rules.port[key_of(htons(static_cast<std::uint16_t>(*given)))] = verdict;
  return {};
}

Result<void> add_rule(Rules& rules, const std::vector<std::string>& words) {
  std::uint32_t verdict = NFBPF_VERDICT_NONE;
  if (words[0] == "allow") verdict = NFBPF_VERDICT_ALLOW;
  if (words[0] == "deny") verdict = NFBPF_VERDICT_DENY;
  if (verdict == NFBPF_VERDICT_NONE)
    return fail("\"" + words[0] + "\" is no verdict; a rule starts with allow or deny");
  if (words.size() == 3 && words[1] == "protocol") return add_protocol(rules, words[2], verdict);
  if (words.size() == 3 && words[1] == "port") return add_port(rules, words[2], verdict);
  if (words.size() == 2) return add_network(rules, words[1], verdict);
  return fail("a rule is \"allow|deny\" and a network, \"protocol NAME\" or \"port NUMBER\"");
}

// ---- maps ----

struct Kind {
  const char* map;
  std::map<Key, std::uint32_t> Rules::*rules;
  std::size_t limit;
};
constexpr Kind kKinds[] = {
    {"nfbpf_filter_ipv4", &Rules::ipv4, NFBPF_FILTER_PREFIXES},
    {"nfbpf_filter_ipv6", &Rules::ipv6, NFBPF_FILTER_PREFIXES},
    {"nfbpf_filter_port", &Rules::port, NFBPF_FILTER_PORTS},
    {"nfbpf_filter_protocol", &Rules::protocol, 256},
};

Result<UniqueFd> open_map(const fs::path& pin_dir, const char* name) {
  const fs::path pin = pin_dir / NFBPF_PIN_MAPS / name;
  UniqueFd fd(bpf_obj_get(pin.c_str()));
  if (fd) return fd;
  if (errno == ENOENT)
    return fail("no filter map is pinned at " + pin.string() +
                ": attach the built-in program with --filters first");
  return fail_errno(errno, "filter map " + pin.string());
}

bool is_array(const Kind& kind) {
  return kind.rules == &Rules::protocol;
}

Result<std::map<Key, std::uint32_t>> read_rules(int fd, const Kind& kind, std::size_t key_size) {
  std::map<Key, std::uint32_t> rules;
  Key key(key_size);
  Key next(key_size);
  const void* from = nullptr;
  while (bpf_map_get_next_key(fd, from, next.data()) == 0) {
    std::uint32_t verdict = 0;
    if (bpf_map_lookup_elem(fd, next.data(), &verdict) == 0 && verdict != NFBPF_VERDICT_NONE)
      rules[next] = verdict;
    key = next;
    from = key.data();
  }
  if (errno != ENOENT) return fail_errno(errno, std::string("read ") + kind.map);
  return rules;
}

std::size_t key_size_of(const Kind& kind) {
  if (kind.rules == &Rules::ipv4) return sizeof(nfbpf_filter_ipv4_key);
  if (kind.rules == &Rules::ipv6) return sizeof(nfbpf_filter_ipv6_key);
  return kind.rules == &Rules::port ? sizeof(nfbpf_port_t) : sizeof(std::uint32_t);
}

Result<void> write_rules(int fd, const Kind& kind, const std::map<Key, std::uint32_t>& rules) {
  for (const auto& [key, verdict] : rules) {
    if (bpf_map_update_elem(fd, key.data(), &verdict, BPF_ANY) != 0)
      return fail_errno(errno, std::string("write a rule to ") + kind.map);
  }
  return {};
}

Result<void> remove_others(int fd, const Kind& kind, const std::map<Key, std::uint32_t>& rules) {
  const auto there = read_rules(fd, kind, key_size_of(kind));
  if (!there) return tl::unexpected(there.error());
  const std::uint32_t none = NFBPF_VERDICT_NONE;
  for (const auto& [key, verdict] : *there) {
    if (rules.contains(key)) continue;
    const int failed = is_array(kind) ? bpf_map_update_elem(fd, key.data(), &none, BPF_ANY)
                                      : bpf_map_delete_elem(fd, key.data());
    if (failed != 0) return fail_errno(errno, std::string("remove a rule from ") + kind.map);
  }
  return {};
}

// With an allow among them, what no rule names is left out.
std::uint32_t policy_of(const std::map<Key, std::uint32_t>& rules) {
  const bool any = std::ranges::any_of(
      rules, [](const auto& rule) { return rule.second == NFBPF_VERDICT_ALLOW; });
  return any ? NFBPF_VERDICT_DENY : NFBPF_VERDICT_NONE;
}

Result<void> write_policy(int fd, const Rules& rules) {
  const nfbpf_filter_policy policy{policy_of(rules.ipv4), policy_of(rules.ipv6),
                                   policy_of(rules.protocol), policy_of(rules.port)};
  const std::uint32_t zero = 0;
  if (bpf_map_update_elem(fd, &zero, &policy, BPF_ANY) != 0)
    return fail_errno(errno, "write nfbpf_filter_policy");
  return {};
}

std::string text_of(const Kind& kind, const Key& key) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (kind.rules == &Rules::ipv4) {
    const auto network = value_of<nfbpf_filter_ipv4_key>(key);
    ::inet_ntop(AF_INET, &network.address, text.data(), text.size());
    return std::string(text.data()) + "/" + std::to_string(network.prefix_length);
  }
  if (kind.rules == &Rules::ipv6) {
    const auto network = value_of<nfbpf_filter_ipv6_key>(key);
    ::inet_ntop(AF_INET6, &network.address, text.data(), text.size());
    return std::string(text.data()) + "/" + std::to_string(network.prefix_length);
  }
  if (kind.rules == &Rules::port)
    return "port " + std::to_string(ntohs(value_of<std::uint16_t>(key)));
  return "protocol " + std::to_string(value_of<std::uint32_t>(key));
}

}  // namespace

Result<Rules> parse_rules(const std::string& text, const std::string& name) {
  Rules rules;
  std::istringstream lines(text);
  std::string line;
  for (std::size_t at = 1; std::getline(lines, line); ++at) {
    std::istringstream split(line.substr(0, line.find('#')));
    std::vector<std::string> words;
    for (std::string word; split >> word;) words.push_back(word);
    if (words.empty()) continue;
    if (auto ok = add_rule(rules, words); !ok)
      return fail(name + ":" + std::to_string(at) + ": " + ok.error().what);
  }
  for (const Kind& kind : kKinds) {
    if ((rules.*kind.rules).size() > kind.limit)
      return fail(name + ": " + std::to_string((rules.*kind.rules).size()) + " rules for " +
                  kind.map + ", which holds " + std::to_string(kind.limit));
  }
  return rules;
}

Result<std::size_t> apply_rules(const FilterMaps& maps, const Rules& rules) {
  std::size_t count = 0;
  for (const Kind& kind : kKinds) {
    const auto fd = maps(kind.map);
    if (!fd) return tl::unexpected(fd.error());
    const auto& wanted = rules.*kind.rules;
    // Room first: a full map would refuse what is new.
    if (auto ok = remove_others(*fd, kind, wanted); !ok) return tl::unexpected(ok.error());
    if (auto ok = write_rules(*fd, kind, wanted); !ok) return tl::unexpected(ok.error());
    count += wanted.size();
  }
  const auto policy = maps("nfbpf_filter_policy");
  if (!policy) return tl::unexpected(policy.error());
  if (auto ok = write_policy(*policy, rules); !ok) return tl::unexpected(ok.error());
  return count;
}

Result<std::size_t> apply_rules(const fs::path& pin_dir, const Rules& rules) {
  std::map<std::string, UniqueFd> open;
  const auto maps = [&](const char* name) -> Result<int> {
    auto fd = open_map(pin_dir, name);
    if (!fd) return tl::unexpected(fd.error());
    return (open[name] = std::move(*fd)).get();
  };
  return apply_rules(maps, rules);
}

Result<std::vector<std::string>> list_rules(const fs::path& pin_dir) {
  std::vector<std::string> lines;
  for (const Kind& kind : kKinds) {
    const auto fd = open_map(pin_dir, kind.map);
    if (!fd) return tl::unexpected(fd.error());
    const auto rules = read_rules(fd->get(), kind, key_size_of(kind));
    if (!rules) return tl::unexpected(rules.error());
    for (const auto& [key, verdict] : *rules)
      lines.push_back((verdict == NFBPF_VERDICT_ALLOW ? "allow " : "deny ") + text_of(kind, key));
  }
  return lines;
}

}  // namespace nfbpf::loader
