// SPDX-License-Identifier: Apache-2.0
#include "reader/epoch.h"

#include <abi/nfbpf.h>
#include <bpf/bpf.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <string>

#include "base/unique_fd.h"
#include "reader/pin_memory.h"

namespace nfbpf::reader {
namespace {

class PinnedEpoch final : public Epoch {
 public:
  PinnedEpoch(PinMemory memory, UniqueFd fence, UniqueFd post)
      : memory_(std::move(memory)), fence_(std::move(fence)), post_(std::move(post)) {}

  [[nodiscard]] std::uint32_t active() const override {
    return word(state()->active).load(std::memory_order_acquire) == 0 ? 0 : 1;
  }
  void turn() override { word(state()->active).store(1 - active(), std::memory_order_release); }

  // The kernel waits for a grace period in this call, because a program may still use the map that
  // stood there; all hooks run their programs inside of one.
  [[nodiscard]] Result<void> wait() override {
    const std::uint32_t place = 0;
    const std::uint32_t post = static_cast<std::uint32_t>(post_.get());
    if (bpf_map_update_elem(fence_.get(), &place, &post, BPF_ANY) != 0)
      return fail_errno(errno, "pin " NFBPF_PIN_FENCE ": cannot wait for packets under way");
    return {};
  }

  [[nodiscard]] std::uint64_t made(std::uint32_t buffer) const override {
    return word(state()->made[buffer]).load(std::memory_order_relaxed);
  }
  void forget_made(std::uint32_t buffer) override {
    word(state()->made[buffer]).store(0, std::memory_order_relaxed);
  }

 private:
  template <typename T>
  static std::atomic_ref<T> word(T& at) {
    return std::atomic_ref<T>(at);
  }
  [[nodiscard]] nfbpf_epoch_state* state() const {
    return reinterpret_cast<nfbpf_epoch_state*>(memory_.bytes().data());
  }

  PinMemory memory_;
  UniqueFd fence_, post_;
};

Result<UniqueFd> open_writable(const std::filesystem::path& pin) {
  UniqueFd fd(bpf_obj_get(pin.c_str()));
  if (!fd) return fail_errno(errno, pin.string() + ": cannot open the pinned map for writing");
  return fd;
}

}  // namespace

Result<std::unique_ptr<Epoch>> open_epoch(const std::filesystem::path& pin_dir) {
  const auto pin = pin_dir / NFBPF_PIN_MAPS / NFBPF_PIN_EPOCH;
  auto memory = PinMemory::map(pin);
  if (!memory) return tl::unexpected(memory.error());
  if (memory->bytes().size() < sizeof(nfbpf_epoch_state))
    return fail(pin.string() + ": has " + std::to_string(memory->bytes().size()) + " bytes, not " +
                std::to_string(sizeof(nfbpf_epoch_state)) + "; detach and attach again");
  auto fence = open_writable(pin_dir / NFBPF_PIN_FENCE);
  if (!fence) return tl::unexpected(fence.error());
  auto post = open_writable(pin_dir / NFBPF_PIN_FENCE_POST);
  if (!post) return tl::unexpected(post.error());
  return std::make_unique<PinnedEpoch>(std::move(*memory), std::move(*fence), std::move(*post));
}

}  // namespace nfbpf::reader
