// SPDX-License-Identifier: Apache-2.0
#include "traffic/continuity.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

namespace nfbpf::traffic {
namespace {

constexpr std::uint32_t kVersion = 1;
constexpr double kNever = -1;

void put(std::vector<std::byte>& to, const void* from, std::size_t size) {
  const auto* at = static_cast<const std::byte*>(from);
  to.insert(to.end(), at, at + size);
}

template <typename Number>
void put(std::vector<std::byte>& to, Number number) {
  static_assert(std::is_arithmetic_v<Number>);
  put(to, &number, sizeof(number));
}

// Takes from the front; what is not there is 0, and remembered.
class Taker {
 public:
  explicit Taker(std::span<const std::byte> from) : rest_(from) {}
  template <typename Number>
  Number number() {
    Number number{};
    const auto from = bytes(sizeof(number));
    if (!from.empty()) std::memcpy(&number, from.data(), sizeof(number));
    return number;
  }
  std::span<const std::byte> bytes(std::size_t size) {
    if (size > rest_.size()) {
      whole_ = false;
      return {};
    }
    const auto taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  [[nodiscard]] bool whole() const { return whole_; }

 private:
  std::span<const std::byte> rest_;
  bool whole_ = true;
};

std::optional<double> time_of(double saved) {
  return std::isfinite(saved) && saved >= 0 ? std::optional(saved) : std::nullopt;
}

}  // namespace

void Continuity::look(double now, Look seen) {
  const bool was_counting = std::exchange(counting_, seen.counting);
  if (!seen.counting) return;
  if (seen_) {
    // Without a `since` only a gap that we saw is one: it may have counted while we were not there.
    const double began = seen.since.value_or(was_counting ? *seen_ : now);
    blind_ += std::max(0.0, std::min(began, now) - *seen_);
  }
  seen_ = now;
}

double Continuity::blind_seconds(double now) const {
  return blind_ + (seen_ && !counting_ ? std::max(0.0, now - *seen_) : 0);
}

bool Continuity::any_fell(const Table& totals) const {
  for (std::size_t row = 0; row < totals.rows(); ++row) {
    const auto key = totals.key(row);
    const auto values = totals.values(row);
    const auto found = totals_.find({key.begin(), key.end()});
    if (found == totals_.end()) continue;
    for (std::size_t i = 0; i < std::min(values.size(), found->second.size()); ++i)
      if (values[i] < found->second[i].last) return true;
  }
  return false;
}

Table Continuity::carry_on(Table totals, std::optional<double> since) {
  // A time that is missing, now or before, may be one that could not be read: only a total that
  // fell tells of another module then.
  const bool can_tell = since && began_;
  const bool same_module = can_tell ? since == began_ : !any_fell(totals);
  if (since || !same_module) began_ = since;
  if (!same_module) {
    for (auto& [key, of_key] : totals_)
      for (Total& total : of_key) total.before += std::exchange(total.last, 0);
  }
  for (std::size_t row = 0; row < totals.rows(); ++row) {
    const auto key = totals.key(row);
    const auto values = totals.values(row);
    auto& of_key = totals_[{key.begin(), key.end()}];
    of_key.resize(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      Total& total = of_key[i];
      if (values[i] < total.last) total.before += total.last;  // whatever its module says
      total.last = values[i];
      values[i] += total.before;
    }
  }
  return totals;
}

std::vector<std::byte> Continuity::save() const {
  std::vector<std::byte> state;
  put(state, kVersion);
  put(state, std::uint32_t{counting_});
  put(state, blind_);
  put(state, seen_.value_or(kNever));
  put(state, began_.value_or(kNever));
  put(state, static_cast<std::uint32_t>(totals_.size()));
  for (const auto& [key, of_key] : totals_) {
    put(state, static_cast<std::uint16_t>(key.size()));
    put(state, static_cast<std::uint16_t>(of_key.size()));
    put(state, key.data(), key.size());
    for (const Total& total : of_key) {
      put(state, total.before);
      put(state, total.last);
    }
  }
  return state;
}

Result<void> Continuity::restore(std::span<const std::byte> state) {
  Taker taker(state);
  if (taker.number<std::uint32_t>() != kVersion)
    return fail("what is to go on over a change of the module: of another release");
  Continuity read;
  read.counting_ = taker.number<std::uint32_t>() != 0;
  const auto blind = time_of(taker.number<double>());
  read.seen_ = time_of(taker.number<double>());
  read.began_ = time_of(taker.number<double>());
  const auto rows = taker.number<std::uint32_t>();
  for (std::uint32_t row = 0; row < rows && taker.whole(); ++row) {
    const std::size_t key_size = taker.number<std::uint16_t>();
    const std::size_t counters = taker.number<std::uint16_t>();
    const auto key = taker.bytes(key_size);
    std::vector<Total> of_key;
    for (std::size_t i = 0; i < counters && taker.whole(); ++i) {
      const auto before = taker.number<std::uint64_t>();
      of_key.push_back({before, taker.number<std::uint64_t>()});
    }
    read.totals_[{key.begin(), key.end()}] = std::move(of_key);
  }
  if (!taker.whole() || !blind)
    return fail("what is to go on over a change of the module: is damaged");
  read.blind_ = *blind;
  *this = std::move(read);
  return {};
}

}  // namespace nfbpf::traffic
