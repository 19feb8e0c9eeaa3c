// SPDX-License-Identifier: Apache-2.0
#include "reader/reader.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "reader/hook_totals.h"
#include "reader/module_version.h"

namespace nfbpf::reader {
namespace {

using traffic::ErrorClass;
using traffic::Failure;

constexpr const char* kModuleDatapath = "kmod";

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
               std::vector<OtherPin> other_pins)
    : paths_(std::move(paths)),
      opener_(std::move(opener)),
      interface_names_(std::move(interface_names)),
      other_pins_(std::move(other_pins)) {}

std::shared_ptr<const traffic::Snapshot> Reader::take() {
  const std::lock_guard lock(mutex_);
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
  open_.reset();
  return open_all();
}

Reader::Step Reader::open_all() {
  // Taken before the file is read: a change in between is then seen at the next scrape.
  Open opening{stamp(), {}, {}, {}};
  auto manifest = read_manifest(paths_.run_dir);
  if (!manifest) return tl::unexpected(std::move(manifest.error()));
  opening.origin = std::move(manifest->origin);
  for (const ManifestMap& map : manifest->maps) {
    auto opened = opener_->open(map);
    if (!opened) return tl::unexpected(std::move(opened.error()));
    if (opened->source)
      opening.sources.push_back(std::move(opened->source));
    else if (!opened->skipped_because.empty())
      opening.skipped.push_back({map.name, std::move(opened->skipped_because)});
  }
  open_ = std::move(opening);
  return {};
}

Result<traffic::Table> Reader::read_table(MapSource& source) {
  auto table = source.read();
  if (!table) return table;
  // After the read: an interface that the map knows by then was there.
  if (names_now_.empty() && has_interface_names(source.layout())) names_now_ = interface_names_();
  return with_interface_names(traffic::fold_hidden(std::move(*table)), names_now_);
}

Reader::Step Reader::read_all(std::vector<traffic::Table>& tables) {
  tables.clear();
  for (const auto& source : open_->sources) {
    auto table = read_table(*source);
    if (!table) return tl::unexpected(Failure{ErrorClass::kRead, std::move(table.error())});
    tables.push_back(std::move(*table));
  }
  return {};
}

Reader::Step Reader::read_maps_with_one_retry(traffic::Snapshot& snapshot) {
  auto step = read_all(snapshot.tables);
  if (step) return step;
  // The maps may have been replaced under us: one more try with what is pinned now.
  open_.reset();
  if (auto reopened = open_all(); !reopened) return reopened;
  step = read_all(snapshot.tables);
  if (!step) open_.reset();
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
    return step;
  }
  snapshot.origin = open_->origin;
  snapshot.skipped = open_->skipped;
  return {};
}

Reader::Step Reader::collect_pins(traffic::Snapshot& snapshot) {
  std::vector<std::string> taken;
  for (const traffic::Table& table : snapshot.tables) taken.push_back(table.layout().map);
  for (const traffic::SkippedMap& map : snapshot.skipped) taken.push_back(map.map);
  other_pins_.follow(*opener_, taken);
  Step step;
  for (MapSource* source : other_pins_.sources()) {
    // One that cannot be read now takes nothing from the others.
    if (auto table = read_table(*source))
      snapshot.tables.push_back(std::move(*table));
    else
      step = tl::unexpected(Failure{ErrorClass::kRead, std::move(table.error())});
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
  auto totals = read_hook_totals(paths_.sysfs);
  if (totals) {
    snapshot.tables.push_back(std::move(*totals));
    return {};
  }
  if (!expected && totals.error().code == ENOENT) return {};
  return tl::unexpected(Failure{ErrorClass::kRead, std::move(totals.error())});
}

}  // namespace nfbpf::reader
