// SPDX-License-Identifier: Apache-2.0
#include "loader/row_mover.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "loader/map_layout.h"

namespace nfbpf::loader {
namespace {

constexpr std::size_t round_up(std::size_t size) {
  return (size + 7) / 8 * 8;
}

// What the adder returns.
enum : std::uint32_t { kAdded = 0, kNoPlace = 1, kNoRow = 2 };

bpf_insn instruction(int code, int to, int from, int offset, std::int32_t immediate) {
  bpf_insn insn{};
  insn.code = static_cast<__u8>(code);
  insn.dst_reg = static_cast<__u8>(to) & 0xf;
  insn.src_reg = static_cast<__u8>(from) & 0xf;
  insn.off = static_cast<__s16>(offset);
  insn.imm = immediate;
  return insn;
}

// The few instructions that the adder is made of, in the words of Documentation/bpf.
class Assembler {
 public:
  void move(int to, int from) { emit(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0); }
  void set(int to, std::int32_t value) { emit(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value); }
  void add(int to, std::int32_t value) { emit(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value); }
  void load(int to, int from, int offset) { emit(BPF_LDX | BPF_MEM | BPF_DW, to, from, offset, 0); }
  void store_word(int to, int offset, std::int32_t value) {
    emit(BPF_ST | BPF_MEM | BPF_W, to, 0, offset, value);
  }
  void add_atomically(int width, int to, int offset, int from) {
    // BPF_XADD, which newer headers call BPF_ATOMIC with BPF_ADD as its immediate.
    emit(BPF_STX | BPF_XADD | width, to, from, offset, BPF_ADD);
  }
  void map(int to, int fd) {
    emit(BPF_LD | BPF_DW | BPF_IMM, to, BPF_PSEUDO_MAP_FD, 0, fd);
    emit(0, 0, 0, 0, 0);
  }
  void call(int helper) { emit(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
  void jump_if_set(int reg, int over) { emit(BPF_JMP | BPF_JNE | BPF_K, reg, 0, over, 0); }
  void leave(std::int32_t answer) {
    set(BPF_REG_0, answer);
    emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
  [[nodiscard]] const std::vector<bpf_insn>& code() const { return code_; }

 private:
  void emit(int code, int to, int from, int offset, std::int32_t immediate) {
    code_.push_back(instruction(code, to, from, offset, immediate));
  }
  std::vector<bpf_insn> code_;
};

constexpr int kLeaveLength = 2;
constexpr int kMostOffset = 32767;  // of a load or store: struct bpf_insn has 16 bits for it
constexpr std::uint64_t kMostOfWord = 1ULL << 31;

std::uint64_t number_at(const std::byte* at, std::uint32_t size) {
  std::uint64_t number = 0;
  std::memcpy(&number, at, size);  // little-endian hosts: see the check in prepare()
  return number;
}

// The kernel's last word on a program, where its verifier says why.
std::string last_line(const char* log) {
  std::string_view text(log);
  while (true) {
    while (text.ends_with('\n')) text.remove_suffix(1);
    const auto begin = text.rfind('\n');
    const auto line = text.substr(begin == std::string_view::npos ? 0 : begin + 1);
    if (!line.starts_with("processed ")) return std::string(line);
    if (begin == std::string_view::npos) return {};
    text = text.substr(0, begin);
  }
}

}  // namespace

Result<RowMover> RowMover::prepare(int from, int to, std::vector<ValueMove> moves,
                                   std::string what) {
  auto mover = shaped(from, to, std::move(moves), std::move(what));
  if (!mover) return mover;
  mover->row_.reset(bpf_map_create(BPF_MAP_TYPE_ARRAY, "nfbpf_moved_row", 4,
                                   static_cast<__u32>(mover->row_value_.size()), 1, nullptr));
  if (!mover->row_) return fail_errno(errno, mover->what_ + ": map for the rows to move");
  if (auto ok = mover->load_adder(); !ok) return tl::unexpected(ok.error());
  return mover;
}

Result<RowMover> RowMover::resume(int from, int to, std::vector<ValueMove> moves, std::string what,
                                  const std::filesystem::path& progress) {
  auto mover = shaped(from, to, std::move(moves), std::move(what));
  if (!mover) return mover;
  mover->row_.reset(bpf_obj_get(progress.c_str()));
  if (!mover->row_) return fail_errno(errno, mover->what_ + ": " + progress.string());
  const auto info = map_info(mover->row_.get(), mover->what_ + ": " + progress.string());
  if (!info) return tl::unexpected(info.error());
  const __u32 zero = 0;
  if (info->value_size != mover->row_value_.size())
    return fail(mover->what_ + ": " + progress.string() + " hands over rows of " +
                std::to_string(info->value_size) + " bytes, not of " +
                std::to_string(mover->row_value_.size()));
  if (bpf_map_lookup_elem(mover->row_.get(), &zero, mover->row_value_.data()) != 0)
    return fail_errno(errno, mover->what_ + ": " + progress.string());
  if (auto ok = mover->load_adder(); !ok) return tl::unexpected(ok.error());
  return mover;
}

Result<void> RowMover::pin_progress(const std::filesystem::path& pin) const {
  if (bpf_obj_pin(row_.get(), pin.c_str()) != 0) return fail_errno(errno, "pin " + pin.string());
  return {};
}

// Everything but the map that hands over the rows, and the program.
Result<RowMover> RowMover::shaped(int from, int to, std::vector<ValueMove> moves,
                                  std::string what) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "number_at() and the adder's words");
  const auto old_map = map_info(from, what);
  if (!old_map) return tl::unexpected(old_map.error());
  const auto new_map = map_info(to, what);
  if (!new_map) return tl::unexpected(new_map.error());
  const bpf_map_info& old_info = *old_map;
  const bpf_map_info& new_info = *new_map;
  const bool per_cpu =
      old_info.type == BPF_MAP_TYPE_PERCPU_HASH || old_info.type == BPF_MAP_TYPE_PERCPU_ARRAY;
  if (!per_cpu && old_info.type != BPF_MAP_TYPE_HASH && old_info.type != BPF_MAP_TYPE_ARRAY) {
    return fail(what + ": rows of map type " + std::to_string(old_info.type) +
                " cannot be moved, those of hashes and arrays can; name the program's map anew");
  }
  RowMover mover;
  mover.from_.reset(::fcntl(from, F_DUPFD_CLOEXEC, 0));
  mover.to_.reset(::fcntl(to, F_DUPFD_CLOEXEC, 0));
  if (!mover.from_ || !mover.to_) return fail_errno(errno, what);
  mover.moves_ = std::move(moves);
  mover.what_ = std::move(what);
  mover.key_size_ = old_info.key_size;
  mover.old_size_ = old_info.value_size;
  mover.new_size_ = new_info.value_size;
  mover.old_stride_ = per_cpu ? round_up(old_info.value_size) : old_info.value_size;
  mover.new_stride_ = per_cpu ? round_up(new_info.value_size) : new_info.value_size;
  if (per_cpu) {
    const int cpus = libbpf_num_possible_cpus();
    if (cpus < 1) return fail_errno(cpus, "number of possible CPUs");
    mover.copies_ = static_cast<std::size_t>(cpus);
  }
  // The one row of its map: the key, the value that a row begins with, the sums to add, and how
  // many rows have been dealt with.
  mover.template_at_ = round_up(mover.key_size_);
  mover.sums_at_ = mover.template_at_ + round_up(mover.new_size_);
  const auto sums = std::ranges::count_if(mover.moves_, &ValueMove::adds);
  mover.done_at_ = mover.sums_at_ + 8 * static_cast<std::size_t>(sums);
  mover.row_value_.resize(mover.done_at_ + 8);
  if (mover.row_value_.size() > kMostOffset)
    return fail(mover.what_ + ": key and value are too large to move, " +
                std::to_string(mover.row_value_.size()) + " bytes with their sums, the limit is " +
                std::to_string(kMostOffset) + "; name the program's map anew");
  return mover;
}

Result<void> RowMover::load_adder() {
  Assembler a;
  a.store_word(BPF_REG_10, -4, 0);
  a.map(BPF_REG_1, row_.get());
  a.move(BPF_REG_2, BPF_REG_10);
  a.add(BPF_REG_2, -4);
  a.call(BPF_FUNC_map_lookup_elem);
  a.jump_if_set(BPF_REG_0, kLeaveLength);
  a.leave(kNoRow);
  a.move(BPF_REG_6, BPF_REG_0);
  // Insert if it is missing; somebody else may have, which is as good.
  a.map(BPF_REG_1, to_.get());
  a.move(BPF_REG_2, BPF_REG_6);
  a.move(BPF_REG_3, BPF_REG_6);
  a.add(BPF_REG_3, static_cast<std::int32_t>(template_at_));
  a.set(BPF_REG_4, BPF_NOEXIST);
  a.call(BPF_FUNC_map_update_elem);
  a.map(BPF_REG_1, to_.get());
  a.move(BPF_REG_2, BPF_REG_6);
  a.call(BPF_FUNC_map_lookup_elem);
  // In the same run as the adds: nobody can be killed between them and this.
  a.set(BPF_REG_1, 1);
  a.add_atomically(BPF_DW, BPF_REG_6, static_cast<int>(done_at_), BPF_REG_1);
  a.jump_if_set(BPF_REG_0, kLeaveLength);
  a.leave(kNoPlace);
  auto at = static_cast<int>(sums_at_);
  for (const ValueMove& move : moves_) {
    if (!move.adds) continue;
    a.load(BPF_REG_1, BPF_REG_6, at);
    a.add_atomically(move.to_size == 8 ? BPF_DW : BPF_W, BPF_REG_0, static_cast<int>(move.to),
                     BPF_REG_1);
    at += 8;
  }
  a.leave(kAdded);

  std::array<char, 4096> log{};
  // Level 0: libbpf asks again for a log where the kernel refuses. A log that is asked for and too
  // small is a refusal of its own before 6.4.
  LIBBPF_OPTS(bpf_prog_load_opts, options, .log_size = log.size(), .log_buf = log.data());
  adder_.reset(bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "nfbpf_add_row", "GPL", a.code().data(),
                             a.code().size(), &options));
  if (!adder_) {
    const int err = errno;
    const std::string why = last_line(log.data());
    return fail_errno(err,
                      what_ + ": program that moves rows" + (why.empty() ? "" : " (" + why + ")"));
  }
  return {};
}

template <typename Each>
Result<void> RowMover::for_each_row(Each each) {
  std::vector<std::byte> key(key_size_);
  std::vector<std::byte> next(key_size_);
  std::vector<std::byte> values(old_stride_ * copies_);
  const std::byte* at = nullptr;
  while (bpf_map_get_next_key(from_.get(), at, next.data()) == 0) {
    key.swap(next);
    at = key.data();
    if (bpf_map_lookup_elem(from_.get(), key.data(), values.data()) != 0) {
      if (errno == ENOENT) continue;  // deleted since
      return fail_errno(errno, what_ + ": read a row");
    }
    if (auto ok = each(std::span<const std::byte>(key), std::span<const std::byte>(values)); !ok) {
      return ok;
    }
  }
  if (errno != ENOENT) return fail_errno(errno, what_ + ": walk the rows");
  return {};
}

void RowMover::copy_text(std::span<const std::byte> old_value,
                         std::span<std::byte> new_value) const {
  for (const ValueMove& move : moves_) {
    if (!move.adds)
      std::memcpy(new_value.data() + move.to, old_value.data() + move.from, move.size);
  }
}

Result<void> RowMover::reserve() {
  std::vector<std::byte> fresh(new_stride_ * copies_);
  return for_each_row([&](std::span<const std::byte> key, std::span<const std::byte> values) {
    for (const ValueMove& move : moves_) {
      // It is added to the value of one CPU, and will count on there.
      if (move.adds && move.to_size == 4 && sum_over_cpus(values, move) > kMostOfWord) {
        return Result<void>(fail(what_ + ": a counter at byte " + std::to_string(move.from) +
                                 " stands at more than half of what a __u32 can hold: make it a "
                                 "__u64 in the new program"));
      }
    }
    std::ranges::fill(fresh, std::byte{});
    for (std::size_t copy = 0; copy < copies_; ++copy) {
      copy_text(values.subspan(copy * old_stride_, old_size_),
                std::span(fresh).subspan(copy * new_stride_, new_size_));
    }
    if (bpf_map_update_elem(to_.get(), key.data(), fresh.data(), BPF_ANY) != 0) {
      return Result<void>(fail_errno(errno, what_ + ": make a row in the new map"));
    }
    return Result<void>();
  });
}

std::uint64_t RowMover::sum_over_cpus(std::span<const std::byte> old_values,
                                      const ValueMove& move) const {
  std::uint64_t sum = 0;
  for (std::size_t copy = 0; copy < copies_; ++copy) {
    sum += number_at(old_values.data() + copy * old_stride_ + move.from, move.size);
  }
  return sum;
}

// false: there is no place for it.
Result<bool> RowMover::add(std::span<const std::byte> key, std::span<const std::byte> old_values) {
  std::ranges::fill(std::span(row_value_).first(done_at_), std::byte{});
  std::memcpy(row_value_.data(), key.data(), key.size());
  copy_text(old_values.first(old_size_), std::span(row_value_).subspan(template_at_, new_size_));
  std::byte* at = row_value_.data() + sums_at_;
  for (const ValueMove& move : moves_) {
    if (!move.adds) continue;
    const std::uint64_t sum = sum_over_cpus(old_values, move);
    std::memcpy(at, &sum, sizeof(sum));
    at += sizeof(sum);
  }
  const __u32 zero = 0;
  if (bpf_map_update_elem(row_.get(), &zero, row_value_.data(), BPF_ANY) != 0) {
    return fail_errno(errno, what_ + ": hand over a row");
  }
  // Any packet will do: the adder does not look at it.
  std::array<std::byte, 64> packet{};
  LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet.data(), .data_size_in = packet.size(),
              .repeat = 1);
  if (bpf_prog_test_run_opts(adder_.get(), &run) != 0) {
    return fail_errno(errno, what_ + ": add a row");
  }
  if (run.retval == kNoRow) return fail(what_ + ": the row that was handed over is not there");
  const std::uint64_t done = number_at(row_value_.data() + done_at_, sizeof(done)) + 1;
  std::memcpy(row_value_.data() + done_at_, &done, sizeof(done));
  return run.retval == kAdded;
}

Result<std::size_t> RowMover::move() {
  std::size_t homeless = 0;
  std::uint64_t row = 0;
  const std::uint64_t done = number_at(row_value_.data() + done_at_, sizeof(done));
  auto ok = for_each_row([&](std::span<const std::byte> key, std::span<const std::byte> values) {
    if (row++ < done) return Result<void>();
    const auto added = add(key, values);
    if (!added) return Result<void>(tl::unexpected(added.error()));
    homeless += *added ? 0 : 1;
    return Result<void>();
  });
  if (!ok) return tl::unexpected(ok.error());
  return homeless;
}

}  // namespace nfbpf::loader
