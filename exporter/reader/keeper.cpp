// SPDX-License-Identifier: Apache-2.0
#include "reader/keeper.h"

#include <abi/nfbpf.h>
#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "reader/pinned_map.h"

namespace nfbpf::reader {
namespace {

// Two copies of it and their heads.
constexpr std::size_t kContinuityBytes = 2 * traffic::Continuity::kMostBytes + 256;

std::vector<traffic::LedgerPart> ledger_parts(const std::vector<Keeper::Part>& parts) {
  std::vector<traffic::LedgerPart> result;
  for (const Keeper::Part& part : parts)
    result.push_back({std::make_shared<const traffic::Layout>(part.first->layout()),
                      part.is_drained(), part.second != nullptr});
  return result;
}

// The note of a saved state: 0, or 1 + the buffer whose rows are in it and that is to be emptied.
std::uint64_t note_of(std::optional<std::uint32_t> to_empty) {
  return to_empty ? 1 + std::uint64_t{*to_empty} : 0;
}

std::optional<std::uint32_t> buffer_of(std::uint64_t note) {
  return note == 0 ? std::nullopt : std::optional(static_cast<std::uint32_t>(note - 1) & 1U);
}

UniqueFd open_folder(const std::filesystem::path& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

Keeper::Keeper(Places places, std::vector<Part> parts, traffic::LedgerOptions options)
    : places_(std::move(places)),
      parts_(std::move(parts)),
      options_(options),
      ledgers_(ledger_parts(parts_), options) {}

Result<std::unique_ptr<Keeper>> Keeper::open(const Places& places, std::vector<Part> parts,
                                             traffic::LedgerOptions options, bool looks_only) {
  const auto without_memory = [&] {
    return std::unique_ptr<Keeper>(new Keeper(places, std::move(parts), options));
  };
  if (looks_only) return without_memory();
  auto memory = PinMemory::map(places.pin_dir / NFBPF_PIN_SERIES);
  if (memory) return open_with(places, std::move(parts), options, std::move(*memory), nullptr);
  const int code = memory.error().code;
  if (code == ENOENT || code == EACCES || code == EPERM) return without_memory();
  return tl::unexpected(memory.error());
}

Result<std::unique_ptr<Keeper>> Keeper::open_with(const Places& places, std::vector<Part> parts,
                                                  traffic::LedgerOptions options, PinMemory memory,
                                                  std::unique_ptr<Epoch> epoch) {
  std::unique_ptr<Keeper> keeper(new Keeper(places, std::move(parts), options));
  keeper->memory_ = std::move(memory);
  if (auto ok = keeper->remember(std::move(epoch)); !ok) return tl::unexpected(ok.error());
  return keeper;
}

traffic::StateStore Keeper::series_store() const {
  const auto all = memory_->bytes();
  return traffic::StateStore(all.first(all.size() - std::min(all.size(), kContinuityBytes)));
}

traffic::StateStore Keeper::continuity_store() const {
  const auto all = memory_->bytes();
  return traffic::StateStore(all.last(std::min(all.size(), kContinuityBytes)));
}

Result<std::optional<traffic::Continuity>> Keeper::continuity() const {
  if (!memory_) return std::nullopt;
  const auto saved = continuity_store().load();
  if (!saved) return tl::unexpected(saved.error());
  if (!*saved) return std::nullopt;
  traffic::Continuity continuity;
  if (auto ok = continuity.restore((*saved)->bytes); !ok) return tl::unexpected(ok.error());
  return continuity;
}

Result<void> Keeper::keep(const traffic::Continuity& continuity) {
  return memory_ ? continuity_store().save(0, continuity.save()) : Result<void>();
}

// What an earlier keeper left, and what it left undone.
Result<void> Keeper::remember(std::unique_ptr<Epoch> epoch) {
  const auto folder = places_.run_dir / "btf";
  owner_ = open_folder(folder);
  if (!owner_) return fail_errno(errno, folder.string() + ": cannot open the folder to lock it");
  if (::flock(owner_.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(folder.string() +
                ": another nfbpf_exporter keeps these series; one at a time, end the other first");
  const auto saved = series_store().load();
  const std::string pin = (places_.pin_dir / NFBPF_PIN_SERIES).string();
  if (!saved) return fail(pin + ": " + saved.error().what + "; detach and attach again");
  if (*saved) {
    if (auto ok = ledgers_.restore((*saved)->bytes); !ok)
      return fail(pin + ": " + ok.error().what + "; detach and attach again");
  }
  keeping_.kept = true;
  fit_into_memory();
  if (*saved) to_empty_ = buffer_of((*saved)->note);
  if (!has_buffers()) return {};
  if (!epoch) {
    auto pinned = open_epoch(places_.pin_dir);
    if (!pinned) return tl::unexpected(pinned.error());
    epoch = std::move(*pinned);
  }
  epoch_ = std::move(epoch);
  // Empty, unless somebody was killed between two steps.
  if (!to_empty_) undrained_ = 1 - epoch_->active();
  return {};
}

// A state that does not fit is not saved, and what is not saved is not shown: better fewer series.
void Keeper::fit_into_memory() {
  const std::size_t room = series_store().capacity();
  if (ledgers_.state_bytes(options_.series_limit) <= room) return;
  std::uint32_t fits = 1;
  for (std::uint32_t too_many = options_.series_limit; too_many - fits > 1;) {
    const std::uint32_t middle = fits + (too_many - fits) / 2;
    (ledgers_.state_bytes(middle) <= room ? fits : too_many) = middle;
  }
  options_.series_limit = fits;
  ledgers_.set_options(options_);
  lowered_limit_ = fits;
}

bool Keeper::has_buffers() const {
  return std::ranges::any_of(parts_, &Part::is_drained);
}

// The maps that a note speaks of: those that the program counts into as the epoch says. Where it
// knows no buffers, the note is of a program before it, and of all that may have been buffers then:
// what reads as one table, and two maps that are told by their names.
std::vector<MapSource*> Keeper::maps_of(std::uint32_t buffer) const {
  const auto named = [this](const std::string& name) -> MapSource* {
    const auto found = std::ranges::find_if(
        parts_, [&](const Part& part) { return part.first->layout().map == name; });
    return found == parts_.end() ? nullptr : found->first;
  };
  std::vector<MapSource*> maps;
  for (const Part& part : parts_) {
    if (has_buffers() && !part.is_drained()) continue;
    if (part.second != nullptr) {
      maps.push_back(buffer == 0 ? part.first : part.second);
      continue;
    }
    MapSource* second = named(part.first->layout().map + NFBPF_BUFFER_SUFFIX);
    if (second != nullptr) maps.push_back(buffer == 0 ? part.first : second);
  }
  return maps;
}

Keeper::Past Keeper::past() const {
  return {drained_at_, ranked_at_, keeping_.drains, keeping_.drained_rows};
}

void Keeper::go_on_from(const Past& past) {
  drained_at_ = past.drained_at;
  ranked_at_ = past.ranked_at;
  keeping_.drains = past.drains;
  keeping_.drained_rows = past.drained_rows;
}

Result<std::vector<traffic::Table>> Keeper::live() {
  std::vector<traffic::Table> tables;
  maps_.clear();
  const auto counted_already = to_empty_ ? maps_of(*to_empty_) : std::vector<MapSource*>();
  const auto read = [&](MapSource& map) {
    auto table = map.read();
    if (table && std::ranges::find(counted_already, &map) != counted_already.end()) table->clear();
    return table;
  };
  for (const Part& part : parts_) {
    const bool second = part.is_drained() && epoch_ && epoch_->active() == 1;
    MapSource* counted = second ? part.second : part.first;
    MapSource* other = second ? part.first : part.second;
    auto table = read(*counted);
    if (!table) return tl::unexpected(table.error());
    const std::uint64_t capacity = table->capacity();
    if (other != nullptr && (undrained_ || !epoch_ || !part.by_epoch)) {
      const auto rest = read(*other);
      if (!rest) return tl::unexpected(rest.error());
      if (rest->rows() > 0) *table = traffic::fold_together(*table, *rest);
    }
    // The second buffer is a map of another name, and a table of the same.
    maps_.push_back({part.first->layout().map, table->rows(), capacity});
    tables.push_back(std::move(*table));
  }
  return tables;
}

Result<void> Keeper::save() {
  if (!memory_) {
    unsaved_ = false;
    return {};
  }
  if (auto ok = series_store().save(note_of(to_empty_), ledgers_.save()); !ok) return ok;
  unsaved_ = false;
  return {};
}

Result<std::vector<traffic::Table>> Keeper::show() {
  const auto tables = live();
  if (!tables) return tl::unexpected(tables.error());
  auto shown = ledgers_.show(*tables);
  unsaved_ |= shown.changed;
  if (unsaved_)
    if (auto ok = save(); !ok) return tl::unexpected(ok.error());
  return std::move(shown.tables);
}

Result<void> Keeper::rank(double now) {
  ranked_at_ = now;
  const auto tables = live();
  if (!tables) return tl::unexpected(tables.error());
  if (!ledgers_.rank(*tables, now)) return {};
  return save();
}

// Rows of a buffer whose counts are in what was saved.
Result<void> Keeper::empty() {
  for (MapSource* map : maps_of(*to_empty_))
    if (auto ok = map->clear(); !ok) return ok;
  if (epoch_) epoch_->forget_made(*to_empty_);
  to_empty_.reset();
  return save();
}

Result<void> Keeper::drain(double now) {
  // What a keeper before left undone is no drain of the buffer that is counted into.
  if (!undrained_) {
    drained_at_ = now;
    undrained_ = epoch_->active();
    epoch_->turn();
  }
  if (auto ok = epoch_->wait(); !ok) return ok;
  std::vector<traffic::Table> rows;
  std::uint64_t count = 0;
  for (const Part& part : parts_) {
    if (!part.is_drained()) {
      rows.emplace_back(std::make_shared<const traffic::Layout>(part.first->layout()), 0);
      continue;
    }
    auto table = (*undrained_ == 0 ? part.first : part.second)->read();
    if (!table) return tl::unexpected(table.error());
    count += table->rows();
    rows.push_back(std::move(*table));
  }
  ledgers_.drain(rows, now);
  to_empty_ = undrained_;
  undrained_.reset();
  if (auto ok = save(); !ok) return ok;
  keeping_.drains += count > 0 ? 1 : 0;
  keeping_.drained_rows += count;
  return empty();
}

// The loader is at work for a second, or has changed what we know: the next tick will do.
Result<void> Keeper::note_waiting(double now) {
  if (!waiting_since_ || now < *waiting_since_) waiting_since_ = now;
  if (now - *waiting_since_ < kPatienceSeconds) return {};
  return fail_errno(EBUSY, places_.run_dir.string() +
                               ": another process holds its lock, or another program runs than the "
                               "manifest says: see fuser and nfbpf-load status");
}

bool Keeper::is_due(double now) const {
  if (now - *drained_at_ >= options_.idle_seconds / 3 || now < *drained_at_) return true;
  std::uint64_t room = ~std::uint64_t{0};
  for (std::size_t i = 0; i < parts_.size() && i < maps_.size(); ++i)
    if (parts_[i].is_drained()) room = std::min(room, maps_[i].capacity);
  return epoch_->made(epoch_->active()) >= room / 2;
}

Result<void> Keeper::tick(double now, const std::function<bool()>& still_ours) {
  if (!drained_at_) drained_at_ = now;
  if (!ranked_at_) ranked_at_ = now;
  // How much room there is, is known from a read; nobody may have scraped yet.
  if (epoch_ && maps_.empty())
    if (const auto read = live(); !read) return tl::unexpected(read.error());
  // Before rows are taken out: a row that was busy since the last time shows that in no other.
  const bool over_due = ledgers_.is_over() && now - *ranked_at_ >= kRankSeconds;
  const bool idle_due = !epoch_ && now - *ranked_at_ >= options_.idle_seconds / 3;
  if (over_due || idle_due)
    if (auto ok = rank(now); !ok) return ok;
  if (!to_empty_ && !(epoch_ && (undrained_ || is_due(now)))) return {};
  const UniqueFd lock = open_folder(places_.run_dir);
  if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 || !still_ours())
    return note_waiting(now);
  waiting_since_.reset();
  if (to_empty_) return empty();
  if (auto ok = drain(now); !ok) return ok;
  return ledgers_.is_over() ? Result<void>() : rank(now);
}

}  // namespace nfbpf::reader
