// SPDX-License-Identifier: Apache-2.0
#include "reader/reader.h"

#include <abi/nfbpf.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <utility>

#include "base/boot_time.h"
#include "reader/flowtables.h"
#include "reader/grouped_source.h"
#include "reader/hook_totals.h"
#include "reader/module_version.h"

namespace nfbpf::reader {
namespace {

using traffic::ErrorClass;
using traffic::Failure;

constexpr const char* kModuleDatapath = "kmod";

// Whether rows of the one may be added to rows of the other.
bool same_rows(const traffic::Layout& a, const traffic::Layout& b) {
  return a.key_size == b.key_size && a.labels == b.labels && a.counters == b.counters &&
         a.histograms == b.histograms;
}

// A map is a table of its own, or the second half of one: also under a program that does not know
// of it, or what it has would be taken from the series that it is part of.
tl::expected<void, Failure> add_part(std::vector<Keeper::Part>& parts, const ManifestMap& map,
                                     MapSource* source, bool has_epoch) {
  const bool by_epoch = !map.second_of.empty();
  const std::string& name = by_epoch || !has_epoch ? map.second_of : map.maybe_second_of;
  const auto first = std::ranges::find_if(
      parts, [&](const Keeper::Part& part) { return part.first->layout().map == name; });
  const bool same = first != parts.end() && same_rows(first->first->layout(), source->layout());
  if (first == parts.end() || (!same && !by_epoch)) {
    parts.push_back({source, nullptr});
    return {};
  }
  if (!same)
    return tl::unexpected(
        Failure{ErrorClass::kLayout,
                Error{0, "map " + map.name + ": has other labels or counters than " + name +
                             ", whose second buffer it is; detach and load again"}});
  first->second = source;
  first->by_epoch = by_epoch;
  return {};
}

template <typename Collect>
traffic::Collection timed(const char* name, Collect collect) {
  const auto start = std::chrono::steady_clock::now();
  auto step = collect();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  traffic::Collection collection{name, taken.count(), std::nullopt};
  if (!step) collection.failure = std::move(step.error());
  return collection;
}

}  // namespace

Reader::Reader(Paths paths, std::unique_ptr<MapOpener> opener, InterfaceNames interface_names,
               std::vector<OtherPin> other_pins, traffic::LedgerOptions options,
               traffic::Grouping grouping, bool looks_only)
    : paths_(std::move(paths)),
      opener_(std::move(opener)),
      interface_names_(std::move(interface_names)),
      other_pins_(std::move(other_pins)),
      options_(options),
      grouping_(std::move(grouping)),
      looks_only_(looks_only) {}

std::shared_ptr<const traffic::Snapshot> Reader::take() {
  const auto came = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  if (auto last = last_.lock(); last && last_began_ >= came) return last;
  last_began_ = std::chrono::steady_clock::now();
  auto snapshot = std::make_shared<traffic::Snapshot>();
  snapshot->time = std::chrono::system_clock::now();
  names_now_.clear();
  std::optional<traffic::Table> totals;
  snapshot->collections.push_back(
      timed(kMapsCollector, [&] { return collect_maps(*snapshot, totals); }));
  snapshot->collections.push_back(timed(kHooksCollector, [&] { return collect_hooks(*snapshot); }));
  if (totals && snapshot->complete() && snapshot->origin && snapshot->origin->accountable)
    snapshot->unaccounted = traffic::unaccounted(*totals, snapshot->tables);
  if (!other_pins_.none())
    snapshot->collections.push_back(timed(kPinsCollector, [&] { return collect_pins(*snapshot); }));
  snapshot->flowtables = count_flowtables(paths_.sysfs);
  last_ = snapshot;
  return snapshot;
}

std::optional<Reader::Stamp> Reader::stamp() const {
  struct stat status {};
  if (::stat((paths_.run_dir / kManifestFile).c_str(), &status) != 0) return std::nullopt;
  return Stamp{status.st_ino, status.st_mtim, status.st_size};
}

Reader::Step Reader::follow_manifest() {
  const auto now = stamp();
  if (open_ && now && open_->stamp == now) return {};
  close();
  return open_all();
}

void Reader::close() {
  if (open_) past_ = open_->keeper->past();
  open_.reset();
}

void Reader::reconfigure(std::unique_ptr<MapOpener> opener, std::vector<OtherPin> other_pins,
                         traffic::LedgerOptions options, traffic::Grouping grouping) {
  const std::lock_guard lock(mutex_);
  close();
  last_.reset();
  opener_ = std::move(opener);
  other_pins_ = OtherPins(std::move(other_pins));
  options_ = options;
  grouping_ = std::move(grouping);
}

Result<std::vector<traffic::Table>> Reader::live() {
  const std::lock_guard lock(mutex_);
  if (auto step = follow_manifest(); !step) return tl::unexpected(step.error().error);
  return open_->keeper->live();
}

Result<void> Reader::tick(double now) {
  const std::lock_guard lock(mutex_);
  if (!follow_manifest()) return {};  // the next snapshot says why
  auto ok = note_datapath(now);
  if (ok) ok = open_->keeper->tick(now, [this] { return still_ours(); });
  // What went wrong half-way is in memory alone: begin again from what was saved.
  if (!ok && ok.error().code != EBUSY) close();
  return ok;
}

// A loader that was killed may have changed the program and not the manifest: then we do not know
// which buffer is counted into.
bool Reader::still_ours() const {
  if (open_->stamp != stamp()) return false;
  if (open_->origin.datapath.name != kModuleDatapath) return true;
  const auto running = running_program(paths_.sysfs);
  return !running || *running == open_->origin.program.id;
}

Reader::Step Reader::open_all() {
  // Taken before the file is read: a change in between is then seen at the next scrape.
  Open opening{
      .stamp = stamp(), .origin = {}, .sources = {}, .keeper = {}, .skipped = {}, .pin_dir = {}};
  auto manifest = read_manifest(paths_.run_dir);
  if (!manifest) return tl::unexpected(std::move(manifest.error()));
  opening.origin = std::move(manifest->origin);
  opening.pin_dir = paths_.pin_dir.empty() ? manifest->pin_dir : paths_.pin_dir;
  std::vector<Keeper::Part> parts;
  for (const ManifestMap& map : manifest->maps) {
    auto opened = opener_->open(map);
    if (!opened) return tl::unexpected(std::move(opened.error()));
    if (!opened->source) {
      if (!opened->skipped_because.empty())
        opening.skipped.push_back({map.name, std::move(opened->skipped_because)});
      continue;
    }
    auto grouped = std::make_unique<GroupedSource>(std::move(opened->source), grouping_);
    MapSource* source = grouped.get();
    opening.sources.push_back(std::move(grouped));
    if (auto step = add_part(parts, map, source, opened->has_epoch); !step) return step;
  }
  auto keeper =
      Keeper::open({opening.pin_dir, paths_.run_dir}, std::move(parts), options_, looks_only_);
  if (!keeper) return tl::unexpected(Failure{ErrorClass::kOpen, std::move(keeper.error())});
  opening.keeper = std::move(*keeper);
  opening.keeper->go_on_from(past_);
  if (const auto limit = opening.keeper->lowered_limit())
    opening.skipped.push_back(
        {NFBPF_PIN_SERIES, "series_limit " + std::to_string(options_.series_limit) +
                               " is more than the memory for series holds, " +
                               std::to_string(*limit) +
                               " applies: detach and attach with a larger --series-memory"});
  add_unknown_labels(opening);
  if (auto step = go_on_from(opening); !step) return step;
  open_ = std::move(opening);
  return {};
}

// A label that `groups` names and no map has as an address.
void Reader::add_unknown_labels(Open& opening) const {
  for (const auto& group : grouping_.labels) {
    const std::string& label = group.first;
    const auto has = [&label](const auto& source) {
      return std::ranges::any_of(source->layout().labels, [&label](const traffic::Field& field) {
        return field.name == label || field.name == label + "_group";
      });
    };
    if (std::ranges::none_of(opening.sources, has))
      opening.skipped.push_back({"groups", "groups: no map has a label " + label});
  }
}

// After the read: an interface that the map knows by then was there.
Result<traffic::Table> Reader::named(traffic::Table table) {
  if (names_now_.empty() && has_interface_names(table.layout())) names_now_ = interface_names_();
  return with_interface_names(std::move(table), names_now_);
}

Result<traffic::Table> Reader::read_table(MapSource& source) {
  auto table = source.read();
  if (!table) return table;
  return named(traffic::fold_hidden(std::move(*table)));
}

Reader::Step Reader::read_all(traffic::Snapshot& snapshot) {
  snapshot.tables.clear();
  auto tables = open_->keeper->show();
  if (!tables) return tl::unexpected(Failure{ErrorClass::kRead, std::move(tables.error())});
  for (traffic::Table& table : *tables) {
    auto shown = named(std::move(table));
    if (!shown) return tl::unexpected(Failure{ErrorClass::kRead, std::move(shown.error())});
    snapshot.tables.push_back(std::move(*shown));
  }
  snapshot.maps = open_->keeper->maps();
  snapshot.families = open_->keeper->families();
  snapshot.keeping = open_->keeper->keeping();
  return {};
}

Reader::Step Reader::read_maps_with_one_retry(traffic::Snapshot& snapshot) {
  auto step = read_all(snapshot);
  if (step) return step;
  // The maps may have been replaced under us: one more try with what is pinned now.
  close();
  if (auto reopened = open_all(); !reopened) return reopened;
  step = read_all(snapshot);
  if (!step) close();
  return step;
}

Reader::Step Reader::collect_maps(traffic::Snapshot& snapshot,
                                  std::optional<traffic::Table>& totals) {
  auto step = follow_manifest();
  // Before the maps: see traffic/unaccounted.h.
  if (step && open_->origin.accountable)
    if (auto before = read_hook_totals(paths_.sysfs)) totals = std::move(*before);
  if (step) step = read_maps_with_one_retry(snapshot);
  if (!step) {
    snapshot.tables.clear();
    snapshot.maps.clear();
    snapshot.families.clear();
    snapshot.keeping.reset();
    return step;
  }
  snapshot.origin = open_->origin;
  snapshot.origin->last_swap_successful = last_swap_successful(paths_.run_dir);
  // A module that came later than the maps did not meet all that is in them.
  const auto since = hooks_since(paths_.sysfs);
  if (since && snapshot.origin->attached_at > 0 && *since > snapshot.origin->attached_at)
    snapshot.origin->accountable = false;
  const double now = since_boot();
  if (auto ok = note_datapath(now); !ok)
    return tl::unexpected(Failure{ErrorClass::kRead, std::move(ok.error())});
  snapshot.blind_seconds = continuity_.blind_seconds(now);
  snapshot.counting = continuity_.counting();
  snapshot.skipped = open_->skipped;
  return {};
}

// A fresh attach begins anew; anything else goes on: from what the kernel remembers, or from what
// we do.
Reader::Step Reader::go_on_from(const Open& opening) {
  auto kept = opening.keeper->continuity();
  if (!kept) return tl::unexpected(Failure{ErrorClass::kOpen, std::move(kept.error())});
  if (*kept)
    continuity_ = std::move(**kept);
  else if (opening.origin.attached_at != continuity_of_)
    continuity_ = {};
  continuity_of_ = opening.origin.attached_at;
  return {};
}

traffic::Continuity::Look Reader::look() const {
  std::error_code code;
  if (open_->origin.datapath.name == kModuleDatapath)
    return {std::filesystem::is_directory(paths_.sysfs / "module/nfbpf/hooks", code),
            hooks_since(paths_.sysfs)};
  // A folder that we cannot look into tells nothing.
  const bool gone = std::filesystem::is_empty(open_->pin_dir / NFBPF_PIN_LINKS, code) ||
                    code == std::errc::no_such_file_or_directory;
  const double attached_at = open_->origin.attached_at;
  return {!gone, attached_at > 0 ? std::optional(attached_at) : std::nullopt};
}

Result<void> Reader::note_datapath(double now) {
  continuity_.look(now, look());
  return open_->keeper->keep(continuity_);
}

Reader::Step Reader::collect_pins(traffic::Snapshot& snapshot) {
  std::vector<std::string> taken;
  for (const traffic::Table& table : snapshot.tables) taken.push_back(table.layout().map);
  for (const traffic::SkippedMap& map : snapshot.skipped) taken.push_back(map.map);
  other_pins_.follow(*opener_, taken);
  Step step;
  for (MapSource* source : other_pins_.sources()) {
    // One that cannot be read now takes nothing from the others.
    if (auto table = read_table(*source)) {
      snapshot.maps.push_back({source->layout().map, table->rows(), table->capacity()});
      snapshot.tables.push_back(std::move(*table));
    } else {
      step = tl::unexpected(Failure{ErrorClass::kRead, std::move(table.error())});
    }
  }
  std::ranges::move(other_pins_.skipped(), std::back_inserter(snapshot.skipped));
  return step;
}

Reader::Step Reader::collect_hooks(traffic::Snapshot& snapshot) {
  // Only the module has totals: that they are absent elsewhere is as it should be.
  const bool expected = snapshot.origin && snapshot.origin->datapath.name == kModuleDatapath;
  if (expected) {
    // Another ABI may count other things under the same names.
    if (auto ok = check_module_version(paths_.sysfs); !ok)
      return tl::unexpected(Failure{ErrorClass::kAbi, std::move(ok.error())});
  }
  auto totals = read_module_totals(paths_.sysfs);
  if (totals) {
    if (open_) {
      totals->table = continuity_.carry_on(std::move(totals->table), totals->since);
      if (auto ok = open_->keeper->keep(continuity_); !ok)
        return tl::unexpected(Failure{ErrorClass::kRead, std::move(ok.error())});
    }
    snapshot.tables.push_back(std::move(totals->table));
    return {};
  }
  if (!expected && totals.error().code == ENOENT) return {};
  return tl::unexpected(Failure{ErrorClass::kRead, std::move(totals.error())});
}

}  // namespace nfbpf::reader
