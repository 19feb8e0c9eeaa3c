// SPDX-License-Identifier: Apache-2.0
#include "traffic/ledger.h"

#include <algorithm>
#include <queue>
#include <string_view>
#include <utility>

namespace nfbpf::traffic {
namespace {

// A histogram's family has a series for each slot, the sum and the count.
std::size_t series_of_row(const Layout& layout) {
  std::size_t most = 1;
  for (const Histogram& histogram : layout.histograms)
    most = std::max(most, histogram.bounds.size() + 3);
  return most;
}

// What a row is ranked by: its bytes, if there is such a counter.
std::size_t score_counter(const Layout& layout) {
  const auto bytes = std::ranges::find(layout.counters, "bytes", &Counter::name);
  if (bytes != layout.counters.end())
    return static_cast<std::size_t>(bytes - layout.counters.begin());
  const auto counts = [](const Counter& counter) { return counter.type == MetricType::kCounter; };
  const auto first = std::ranges::find_if(layout.counters, counts);
  return first == layout.counters.end() ? 0
                                        : static_cast<std::size_t>(first - layout.counters.begin());
}

// Few values, and known beforehand: what `other` can be told apart by.
bool has_few_values(const Field& field) {
  constexpr std::size_t kMostGroups = 64;
  return field.kind == FieldKind::kEnum ||
         (field.kind == FieldKind::kGroup && field.names.size() <= kMostGroups);
}

// Where every label is such a one, a cell would be called what a row is.
bool is_kept(const Layout& layout, const Field& field) {
  return has_few_values(field) && !std::ranges::all_of(layout.labels, has_few_values);
}

// What a folded label reads: a text that no row of it can have, or there would be a series twice.
std::string word_for_other(const Field& field) {
  switch (field.kind) {
    case FieldKind::kString:  // longer than its field
      return field.size < 5 ? "other" : "other" + std::string(field.size - 4, '.');
    case FieldKind::kIfname:  // longer than IFNAMSIZ lets a name be
      return "other interfaces";
    case FieldKind::kEnum:  // no enumerator
      return "(other)";
    case FieldKind::kFlags:  // a list does not end so
      return "other|";
    default:
      return "other";
  }
}

// Gauges are left out, and what stood behind them moves up.
void leave_gauges_out(Layout& layout) {
  std::vector<std::uint32_t> moved;  // by old index
  std::uint32_t next = 0;
  for (const Counter& counter : layout.counters) {
    moved.push_back(next);
    next += counter.type == MetricType::kGauge ? 0 : 1;
  }
  for (Histogram& histogram : layout.histograms) {
    histogram.first_slot = moved[histogram.first_slot];
    histogram.sum = moved[histogram.sum];
  }
  std::erase_if(layout.counters, [](const Counter& c) { return c.type == MetricType::kGauge; });
}

// Labels by name, whatever order the key has them in: those of IPv4 and of IPv6 are then the same.
std::shared_ptr<const Layout> layout_of_other(const Layout& layout) {
  auto other = std::make_shared<Layout>(layout);
  std::ranges::sort(other->labels, {}, &Field::name);
  other->key_size = 0;
  for (Field& field : other->labels) {
    if (is_kept(layout, field)) {
      field.offset = other->key_size;
      other->key_size += field.size;
    } else {
      field = {field.name, FieldKind::kOther, 0, 0, {{0, word_for_other(field)}}, {}};
    }
  }
  leave_gauges_out(*other);
  return other;
}

constexpr std::size_t kMostCells = 1024;

// Whether this counter of a series owes more than its row has: it is another row than the one that
// entered.
bool owes_more(std::uint64_t offset, std::uint64_t counted) {
  return static_cast<std::int64_t>(offset) < 0 && counted < ~offset + 1;
}

std::size_t in_all(std::span<const std::vector<std::uint32_t>> assignment, std::uint32_t number) {
  std::size_t count = 0;
  for (const auto& numbers : assignment)
    count += static_cast<std::size_t>(std::ranges::count(numbers, number));
  return count;
}

}  // namespace

Ledger::PartState::PartState(const LedgerPart& part)
    : layout(part.layout),
      other_layout(layout_of_other(*part.layout)),
      drained(part.drained),
      joined(part.joined),
      score_counter(traffic::score_counter(*part.layout)),
      series(part.layout->key_size),
      cells(other_layout->key_size) {
  for (const Counter& counter : layout->counters)
    gauges.push_back(counter.type == MetricType::kGauge);
  for (const Field& field : layout->labels)
    if (is_kept(*layout, field)) kept.push_back(&field);
  std::ranges::sort(kept, {}, &Field::name);
}

Ledger::Ledger(std::vector<LedgerPart> parts, LedgerOptions options)
    : parts_(std::move(parts)), options_(options) {
  for (const LedgerPart& part : parts_) states_.emplace_back(part);
}

std::size_t Ledger::series() const {
  std::size_t count = 0;
  for (const PartState& part : states_) count += part.series.index.size();
  return count;
}

std::size_t Ledger::row_limit() const {
  std::size_t most = 1;
  for (const PartState& part : states_) most = std::max(most, series_of_row(*part.layout));
  return std::max<std::size_t>(1, options_.series_limit / most);
}

// The series of each live row.
Ledger::Assignment Ledger::assign(const LiveTables& live) const {
  Assignment assignment(states_.size());
  for (std::size_t p = 0; p < states_.size(); ++p) {
    assignment[p].resize(live[p].rows(), kUnlisted);
    if (states_[p].series.index.size() == 0) continue;
    states_[p].series.index.find_all(live[p].keys(), assignment[p]);
  }
  return assignment;
}

std::size_t Ledger::cell_of(PartState& part, std::span<const std::byte> key) {
  std::vector<std::byte> cell;
  for (const Field* field : part.kept) {
    const auto bytes = key.subspan(field->offset, field->size);
    cell.insert(cell.end(), bytes.begin(), bytes.end());
  }
  // An enum may have any number in it: from so many cells on the rest shares that of zeros.
  if (part.cells.index.size() >= kMostCells && !part.cells.index.find(cell))
    std::ranges::fill(cell, std::byte{0});
  const auto [number, fresh] = part.cells.index.find_or_add(cell);
  if (fresh) {
    part.cells.offsets.resize(part.cells.offsets.size() + part.layout->counters.size(), 0);
    part.cell_live_sums.resize(part.cells.offsets.size(), 0);
  }
  return number;
}

// `factor` is 1, or -1 to take away.
void Ledger::add(PartState& part, std::uint64_t* to, std::span<const std::uint64_t> values,
                 std::uint64_t factor) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!part.gauges[i]) to[i] += factor * values[i];
}

// A new series with offset 0.
std::uint32_t Ledger::list(PartState& part, std::span<const std::byte> key) {
  const auto number = part.series.index.find_or_add(key).first;
  part.series.offsets.resize((number + 1) * part.layout->counters.size(), 0);
  part.activity.resize(number + 1);
  return static_cast<std::uint32_t>(number);
}

std::vector<std::vector<bool>> Ledger::nobody_leaves() const {
  std::vector<std::vector<bool>> leaving;
  for (const PartState& part : states_) leaving.emplace_back(part.series.index.size(), false);
  return leaving;
}

// Those that are marked are added to `other` if `keep`, and stay away for a while; else they are
// gone with their rows, and a row that comes back counts anew. The rest is numbered anew.
void Ledger::remove(const std::vector<std::vector<bool>>& leaving, bool keep) {
  for (std::size_t p = 0; p < states_.size(); ++p) {
    if (std::ranges::find(leaving[p], true) == leaving[p].end()) continue;
    PartState& part = states_[p];
    const std::size_t width = part.layout->counters.size();
    Rows stay(part.layout->key_size);
    std::vector<Activity> activity;
    for (std::size_t n = 0; n < leaving[p].size(); ++n) {
      const std::span<const std::uint64_t> offsets(part.series.offsets.data() + n * width, width);
      const auto key = part.series.index.key(n);
      if (leaving[p][n] && keep) {
        part.left[std::vector<std::byte>(key.begin(), key.end())] = ranked_at_;
        const std::size_t cell = cell_of(part, key);
        add(part, part.cells.offsets.data() + cell * width, offsets, 1);
      } else if (!leaving[p][n]) {
        stay.index.find_or_add(key);
        stay.offsets.insert(stay.offsets.end(), offsets.begin(), offsets.end());
        activity.push_back(part.activity[n]);
      }
    }
    part.series = std::move(stay);
    part.activity = std::move(activity);
  }
}

// Of a map whose rows others take out: a series without its row is gone, with what it counted. One
// with an offset above 0 has what was drained while the map was a buffer, and stays.
bool Ledger::drop_vanished(const LiveTables& live, const Assignment& assignment) {
  auto leaving = nobody_leaves();
  bool any = false;
  for (std::size_t p = 0; p < states_.size(); ++p) {
    if (states_[p].drained) continue;
    const std::size_t width = states_[p].layout->counters.size();
    const std::size_t score = states_[p].score_counter;
    for (std::size_t n = 0; n < leaving[p].size(); ++n) {
      leaving[p][n] =
          states_[p].activity[n].owes || states_[p].series.offsets[n * width + score] == 0;
    }
    for (std::size_t row = 0; row < assignment[p].size(); ++row) {
      const std::uint32_t number = assignment[p][row];
      if (number == kUnlisted) continue;
      // Less than it had when it entered: it was taken out, and made again before anybody looked.
      // Or one half of it was, and the other is in `other` already: see show().
      leaving[p][number] =
          states_[p].activity[number].owes && !states_[p].joined &&
          owes_more(states_[p].series.offsets[number * width + score], live[p].values(row)[score]);
    }
    any |= std::ranges::find(leaving[p], true) != leaving[p].end();
  }
  if (any) remove(leaving, false);
  return any;
}

// Of a map that is ours nobody else takes rows out. Where somebody did all the same, or made the
// map anew, a series begins at 0 again: what it owes can be taken off nothing any more. So does one
// of two maps that lost its row in one of them.
bool Ledger::begin_anew(PartState& part, const Table& live,
                        const std::vector<std::uint32_t>& numbers) {
  if (std::ranges::none_of(part.activity, &Activity::owes)) return false;
  const std::size_t width = part.layout->counters.size();
  std::vector<bool> is_there(part.series.index.size(), false);
  bool any = false;
  const auto look = [&](std::size_t number, auto counted) {
    if (!part.activity[number].owes) return;
    std::uint64_t* offsets = part.series.offsets.data() + number * width;
    for (std::size_t i = 0; i < width; ++i) {
      if (part.gauges[i] || !owes_more(offsets[i], counted(i))) continue;
      offsets[i] = 0 - counted(i);
      any = true;
    }
  };
  for (std::size_t row = 0; row < numbers.size(); ++row) {
    if (numbers[row] == kUnlisted) continue;
    is_there[numbers[row]] = true;
    look(numbers[row], [&](std::size_t i) { return live.values(row)[i]; });
  }
  for (std::size_t n = 0; n < is_there.size(); ++n) {
    if (is_there[n]) continue;
    look(n, [](std::size_t) { return std::uint64_t{0}; });
    part.activity[n].owes = false;
  }
  return any;
}

// While everything fits, what is met first becomes a series at once.
bool Ledger::list_new(const LiveTables& live, Assignment& assignment) {
  const std::size_t fresh = in_all(assignment, kUnlisted);
  if (over_ || fresh == 0) return false;
  bool back_too_soon = false;
  for (std::size_t p = 0; p < states_.size(); ++p)
    for (std::size_t row = 0; row < assignment[p].size() && !states_[p].left.empty(); ++row)
      back_too_soon |= assignment[p][row] == kUnlisted && left_lately(states_[p], live[p].key(row));
  if (back_too_soon || series() + fresh > row_limit()) {
    over_ = true;
    return true;
  }
  for (std::size_t p = 0; p < states_.size(); ++p)
    for (std::size_t row = 0; row < assignment[p].size(); ++row)
      if (assignment[p][row] == kUnlisted) assignment[p][row] = list(states_[p], live[p].key(row));
  return true;
}

Table Ledger::other_table(PartState& part, const Table& live,
                          const std::vector<std::uint32_t>& numbers, bool& changed) {
  const std::size_t width = part.layout->counters.size();
  std::vector<std::uint64_t> sums(part.cells.offsets.size(), 0);
  for (std::size_t row = 0; row < numbers.size(); ++row) {
    if (numbers[row] != kUnlisted) continue;
    const std::size_t cell = cell_of(part, live.key(row));
    sums.resize(part.cells.offsets.size(), 0);
    add(part, sums.data() + cell * width, live.values(row), 1);
  }
  Table other(part.other_layout, live.capacity());
  for (std::size_t cell = 0; cell < part.cells.index.size(); ++cell) {
    std::uint64_t* offsets = part.cells.offsets.data() + cell * width;
    std::uint64_t* last = part.cell_live_sums.data() + cell * width;
    const auto values = other.append(part.cells.index.key(cell).data());
    std::size_t shown = 0;
    for (std::size_t i = 0; i < width; ++i) {
      if (part.gauges[i]) continue;
      const std::uint64_t sum = sums[cell * width + i];
      if (!part.drained) {
        // Rows that others took out have been counted: what they had stays.
        if (sum < last[i]) offsets[i] += last[i] - sum;
        // Forgotten with us, it would be what rows had that are taken out before the next one
        // looks.
        changed |= sum != last[i];
        last[i] = sum;
      }
      values[shown++] = offsets[i] + sum;
    }
  }
  return other;
}

Ledger::Shown Ledger::show(const LiveTables& live) {
  Shown shown;
  auto assignment = assign(live);
  if (drop_vanished(live, assignment)) {
    shown.changed = true;
    assignment = assign(live);
  }
  shown.changed |= list_new(live, assignment);
  for (std::size_t p = 0; p < states_.size(); ++p) {
    PartState& part = states_[p];
    const std::size_t width = part.layout->counters.size();
    if (part.drained || part.joined) shown.changed |= begin_anew(part, live[p], assignment[p]);
    Table table(part.layout, live[p].capacity());
    table.reserve(part.series.index.size());
    for (std::size_t n = 0; n < part.series.index.size(); ++n) {
      const auto values = table.append(part.series.index.key(n).data());
      std::copy_n(part.series.offsets.data() + n * width, width, values.data());
    }
    constexpr std::size_t kAhead = 16;  // the order is not that of the series
    for (std::size_t row = 0; row < assignment[p].size(); ++row) {
      if (row + kAhead < assignment[p].size() && assignment[p][row + kAhead] != kUnlisted)
        __builtin_prefetch(table.values(assignment[p][row + kAhead]).data(), 1);
      if (assignment[p][row] == kUnlisted) continue;
      const auto values = table.values(assignment[p][row]);
      const auto counted = live[p].values(row);
      for (std::size_t i = 0; i < width; ++i) values[i] += counted[i];
    }
    Table other = other_table(part, live[p], assignment[p], shown.changed);
    shown.tables.push_back(std::move(table));
    if (other.rows() > 0) shown.tables.push_back(std::move(other));
  }
  return shown;
}

void Ledger::note_activity(const LiveTables& live, const Assignment& assignment, double now) {
  for (std::size_t p = 0; p < states_.size(); ++p) {
    PartState& part = states_[p];
    for (std::size_t row = 0; row < assignment[p].size(); ++row) {
      if (assignment[p][row] == kUnlisted) continue;
      Activity& activity = part.activity[assignment[p][row]];
      const std::uint64_t score = live[p].values(row)[part.score_counter];
      if (!activity.known || score != activity.seen) activity.at = now;
      activity.known = true;
      activity.seen = score;
    }
    for (Activity& activity : part.activity) {
      // A clock that was set back must not make anybody young for ever.
      if (!activity.known || activity.at > now) activity.at = now;
      activity.known = true;
    }
  }
}

// The busiest of the rows that are no series, the least of them first.
std::vector<Ledger::Candidate> Ledger::candidates(const LiveTables& live,
                                                  const Assignment& assignment) const {
  const auto busier = [](const Candidate& a, const Candidate& b) { return a.score > b.score; };
  std::priority_queue<Candidate, std::vector<Candidate>, decltype(busier)> best(busier);
  const std::size_t most = row_limit();
  for (std::uint32_t p = 0; p < states_.size(); ++p) {
    for (std::uint32_t row = 0; row < assignment[p].size(); ++row) {
      if (assignment[p][row] != kUnlisted || left_lately(states_[p], live[p].key(row))) continue;
      const std::uint64_t score = live[p].values(row)[states_[p].score_counter];
      if (best.size() == most && score <= best.top().score) continue;
      best.push({score, p, row});
      if (best.size() > most) best.pop();
    }
  }
  std::vector<Candidate> result;
  for (; !best.empty(); best.pop()) result.push_back(best.top());
  return result;
}

void Ledger::enter(const Candidate& candidate, const LiveTables& live) {
  PartState& part = states_[candidate.part];
  const std::size_t width = part.layout->counters.size();
  const auto key = live[candidate.part].key(candidate.row);
  const auto values = live[candidate.part].values(candidate.row);
  const std::size_t number = list(part, key);
  add(part, part.series.offsets.data() + number * width, values, ~std::uint64_t{0});
  part.activity[number].owes = true;
  const std::size_t cell = cell_of(part, key);
  add(part, part.cells.offsets.data() + cell * width, values, 1);
  // What it had has moved out of the live part of the cell.
  std::uint64_t* last = part.cell_live_sums.data() + cell * width;
  for (std::size_t i = 0; i < width; ++i)
    if (!part.gauges[i]) last[i] -= std::min(last[i], values[i]);
}

// Of a map that is not ours: what these rows counted is part of a cell from now on, and stays there
// though they vanish before the next look.
void Ledger::keep_in_cells(const LiveTables& live, const Assignment& assignment,
                           const std::vector<std::vector<bool>>& leaving) {
  for (std::size_t p = 0; p < states_.size(); ++p) {
    PartState& part = states_[p];
    if (part.drained) continue;
    for (std::size_t row = 0; row < assignment[p].size(); ++row) {
      if (assignment[p][row] == kUnlisted || !leaving[p][assignment[p][row]]) continue;
      const std::size_t cell = cell_of(part, live[p].key(row));
      add(part, part.cell_live_sums.data() + cell * part.layout->counters.size(),
          live[p].values(row), 1);
    }
  }
}

bool Ledger::left_lately(const PartState& part, std::span<const std::byte> key) {
  return !part.left.empty() && part.left.contains(std::vector<std::byte>(key.begin(), key.end()));
}

bool Ledger::rank(const LiveTables& live, double now) {
  ranked_at_ = now;
  for (PartState& part : states_)
    std::erase_if(part.left, [&](const auto& one) {
      return now - one.second >= kAwaySeconds || now < one.second;
    });
  auto assignment = assign(live);
  bool changed = drop_vanished(live, assignment);
  if (changed) assignment = assign(live);
  for (std::size_t p = 0; p < states_.size(); ++p)
    if (states_[p].joined && !states_[p].drained)
      changed |= begin_anew(states_[p], live[p], assignment[p]);
  changed |= list_new(live, assignment);
  note_activity(live, assignment, now);

  std::vector<std::vector<bool>> is_live;
  std::vector<std::vector<std::uint64_t>> scores;
  for (std::size_t p = 0; p < states_.size(); ++p) {
    is_live.emplace_back(states_[p].series.index.size(), false);
    auto& of_part = scores.emplace_back();
    for (const Activity& activity : states_[p].activity) of_part.push_back(activity.period);
    for (std::size_t row = 0; row < assignment[p].size(); ++row) {
      if (assignment[p][row] == kUnlisted) continue;
      is_live[p][assignment[p][row]] = true;
      of_part[assignment[p][row]] += live[p].values(row)[states_[p].score_counter];
    }
  }

  // No more leave in kAwaySeconds than there are places: what is remembered of them is bounded.
  const std::size_t limit = row_limit();
  std::size_t away = 0;
  for (const PartState& part : states_) away += part.left.size();
  auto leaving = nobody_leaves();
  std::vector<Series> staying;
  for (std::uint32_t p = 0; p < states_.size(); ++p) {
    for (std::uint32_t n = 0; n < leaving[p].size(); ++n) {
      const bool idle = now - states_[p].activity[n].at >= options_.idle_seconds;
      if (idle && !is_live[p][n] && away < limit) {
        leaving[p][n] = changed = true;
        ++away;
      } else {
        staying.push_back({scores[p][n], p, n});
      }
    }
  }
  std::ranges::sort(staying, {}, &Series::score);

  auto entering = candidates(live, assignment);
  std::size_t weakest = 0;
  for (; staying.size() - weakest > limit; ++weakest, ++away) {
    leaving[staying[weakest].part][staying[weakest].number] = changed = true;
  }
  std::size_t room = limit - (staying.size() - weakest);
  std::size_t taken = 0;  // of the candidates, from the busiest down
  while (taken < entering.size()) {
    const Candidate& candidate = entering[entering.size() - 1 - taken];
    if (room > 0) {
      --room;
    } else {
      // Twice as busy, or the two would change places for ever, and each time begin at 0.
      if (away++ >= limit) break;
      if (weakest == staying.size() || candidate.score / 2 <= staying[weakest].score) break;
      leaving[staying[weakest].part][staying[weakest].number] = true;
      ++weakest;
    }
    ++taken;
  }
  keep_in_cells(live, assignment, leaving);
  remove(leaving, true);
  for (std::size_t i = 0; i < taken; ++i) enter(entering[entering.size() - 1 - i], live);
  changed |= taken > 0;

  const bool was_over = over_;
  over_ = in_all(assign(live), kUnlisted) > 0;
  note_activity(live, assign(live), now);
  return changed || was_over != over_;
}

void Ledger::drain(const LiveTables& rows, double now) {
  for (std::size_t p = 0; p < states_.size(); ++p) {
    PartState& part = states_[p];
    const std::size_t width = part.layout->counters.size();
    std::vector<std::uint64_t> scores(part.series.index.size(), 0);
    for (std::size_t row = 0; row < rows[p].rows(); ++row) {
      const auto key = rows[p].key(row);
      const auto values = rows[p].values(row);
      auto found = part.series.index.find(key);
      if (!found && !over_ && !left_lately(part, key) && series() < row_limit()) {
        found = list(part, key);
        scores.push_back(0);
      }
      if (!found) {
        const std::size_t cell = cell_of(part, key);
        add(part, part.cells.offsets.data() + cell * width, values, 1);
        continue;
      }
      std::uint64_t* offsets = part.series.offsets.data() + *found * width;
      add(part, offsets, values, 1);
      // What it still owes it takes off its row in the other buffer.
      if (part.activity[*found].owes)
        part.activity[*found].owes = std::any_of(offsets, offsets + width, [](std::uint64_t at) {
          return static_cast<std::int64_t>(at) < 0;
        });
      scores[*found] = values[part.score_counter];
    }
    for (std::size_t n = 0; n < scores.size(); ++n) {
      Activity& activity = part.activity[n];
      if (!activity.known || scores[n] > activity.seen) activity.at = now;
      activity = {activity.period / 2 + scores[n], 0, activity.at, true, activity.owes};
    }
  }
}

}  // namespace nfbpf::traffic
