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

// The note of a saved state: 0, or 1 + the buffer whose rows are in it and that is to be emptied.
constexpr std::uint64_t kNothingToEmpty = 0;

// Two copies of it and their heads.
constexpr std::size_t kContinuityBytes = 2 * traffic::Continuity::kMostBytes + 256;

std::vector<traffic::LedgerPart> ledger_parts(const std::vector<Keeper::Part>& parts) {
  std::vector<traffic::LedgerPart> result;
  for (const Keeper::Part& part : parts)
    result.push_back(
        {std::make_shared<const traffic::Layout>(part.first->layout()), part.second != nullptr});
  return result;
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
                                             traffic::LedgerOptions options, bool looks_only,
                                             std::unique_ptr<Epoch> epoch) {
  std::unique_ptr<Keeper> keeper(new Keeper(places, std::move(parts), options));
  if (looks_only) return keeper;
  auto memory = PinMemory::map(places.pin_dir / NFBPF_PIN_SERIES);
  if (!memory) {
    const int code = memory.error().code;
    if (code == ENOENT || code == EACCES || code == EPERM) return keeper;
    return tl::unexpected(memory.error());
  }
  keeper->memory_ = std::move(*memory);
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
  const bool buffers =
      std::ranges::any_of(parts_, [](const Part& p) { return p.second != nullptr; });
  if (!buffers) return {};
  if (!epoch) {
    auto pinned = open_epoch(places_.pin_dir);
    if (!pinned) return tl::unexpected(pinned.error());
    epoch = std::move(*pinned);
  }
  epoch_ = std::move(epoch);
  const std::uint64_t note = *saved ? (*saved)->note : kNothingToEmpty;
  if (note != kNothingToEmpty) return empty(static_cast<std::uint32_t>(note - 1) & 1U);
  undrained_ = 1 - epoch_->active();  // empty, unless somebody was killed between two steps
  return {};
}

Result<std::vector<traffic::Table>> Keeper::live() {
  std::vector<traffic::Table> tables;
  maps_.clear();
  for (const Part& part : parts_) {
    const bool second = part.second != nullptr && epoch_ && epoch_->active() == 1;
    MapSource* counted = second ? part.second : part.first;
    MapSource* other = second ? part.first : part.second;
    auto table = counted->read();
    if (!table) return tl::unexpected(table.error());
    const std::uint64_t capacity = table->capacity();
    if (other != nullptr && (undrained_ || !epoch_)) {
      const auto rest = other->read();
      if (!rest) return tl::unexpected(rest.error());
      if (rest->rows() > 0) *table = traffic::fold_together(*table, *rest);
    }
    // The second buffer is a map of another name, and a table of the same.
    maps_.push_back({part.first->layout().map, table->rows(), capacity});
    tables.push_back(std::move(*table));
  }
  return tables;
}

Result<void> Keeper::save(std::uint64_t note) {
  if (!memory_) {
    unsaved_ = false;
    return {};
  }
  if (auto ok = series_store().save(note, ledgers_.save()); !ok) return ok;
  unsaved_ = false;
  return {};
}

Result<std::vector<traffic::Table>> Keeper::show() {
  const auto tables = live();
  if (!tables) return tl::unexpected(tables.error());
  auto shown = ledgers_.show(*tables);
  unsaved_ |= shown.changed;
  if (unsaved_)
    if (auto ok = save(kNothingToEmpty); !ok) return tl::unexpected(ok.error());
  return std::move(shown.tables);
}

Result<void> Keeper::rank(double now) {
  ranked_at_ = now;
  const auto tables = live();
  if (!tables) return tl::unexpected(tables.error());
  if (!ledgers_.rank(*tables, now)) return {};
  return save(kNothingToEmpty);
}

// Rows of a buffer whose counts are in what was saved.
Result<void> Keeper::empty(std::uint32_t buffer) {
  for (const Part& part : parts_) {
    if (part.second == nullptr) continue;
    if (auto ok = (buffer == 0 ? part.first : part.second)->clear(); !ok) return ok;
  }
  epoch_->forget_made(buffer);
  undrained_.reset();
  return save(kNothingToEmpty);
}

Result<void> Keeper::drain(double now) {
  if (!undrained_) {
    undrained_ = epoch_->active();
    epoch_->turn();
  }
  if (auto ok = epoch_->wait(); !ok) return ok;
  std::vector<traffic::Table> rows;
  std::uint64_t count = 0;
  for (const Part& part : parts_) {
    if (part.second == nullptr) {
      rows.emplace_back(std::make_shared<const traffic::Layout>(part.first->layout()), 0);
      continue;
    }
    auto table = (*undrained_ == 0 ? part.first : part.second)->read();
    if (!table) return tl::unexpected(table.error());
    count += table->rows();
    rows.push_back(std::move(*table));
  }
  ledgers_.drain(rows, now);
  const std::uint32_t buffer = *undrained_;
  if (auto ok = save(1 + std::uint64_t{buffer}); !ok) return ok;
  drained_at_ = now;
  ++keeping_.drains;
  keeping_.drained_rows += count;
  return empty(buffer);
}

bool Keeper::is_due(double now) const {
  if (now - drained_at_ >= options_.idle_seconds / 3 || now < drained_at_) return true;
  std::uint64_t room = ~std::uint64_t{0};
  for (std::size_t i = 0; i < parts_.size() && i < maps_.size(); ++i)
    if (parts_[i].second != nullptr) room = std::min(room, maps_[i].capacity);
  return epoch_->made(epoch_->active()) >= room / 2;
}

Result<void> Keeper::tick(double now, const std::function<bool()>& still_ours) {
  if (!ticked_) {
    drained_at_ = ranked_at_ = now;
    ticked_ = true;
  }
  // How much room there is, is known from a read; nobody may have scraped yet.
  if (epoch_ && maps_.empty())
    if (const auto read = live(); !read) return tl::unexpected(read.error());
  if (epoch_ && (undrained_ || is_due(now))) {
    const UniqueFd lock = open_folder(places_.run_dir);
    // The loader is at work, or has changed what we know: the next tick will do.
    if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 || !still_ours()) return {};
    if (auto ok = drain(now); !ok) return ok;
    // A flood has us drain every second: who is busy is told over a longer time.
    const bool rank_due = now - ranked_at_ >= kRankSeconds || !ledgers_.is_over();
    return rank_due ? rank(now) : Result<void>();
  }
  const bool idle_due = !epoch_ && now - ranked_at_ >= options_.idle_seconds / 3;
  const bool over_due = ledgers_.is_over() && now - ranked_at_ >= kRankSeconds;
  return idle_due || over_due ? rank(now) : Result<void>();
}

}  // namespace nfbpf::reader
