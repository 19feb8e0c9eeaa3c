// SPDX-License-Identifier: Apache-2.0
#include "reader/pin_memory.h"

#include <bpf/bpf.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdint>

#include "base/unique_fd.h"

namespace nfbpf::reader {

Result<PinMemory> PinMemory::map(const std::filesystem::path& pin) {
  const UniqueFd fd(bpf_obj_get(pin.c_str()));
  if (!fd) return fail_errno(errno, pin.string() + ": cannot open the pinned map for writing");
  bpf_map_info info{};
  std::uint32_t length = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &length) != 0)
    return fail_errno(errno, pin.string() + ": cannot ask for the map's shape");
  if (info.type != BPF_MAP_TYPE_ARRAY || info.max_entries != 1 ||
      (info.map_flags & BPF_F_MMAPABLE) == 0)
    return fail(pin.string() +
                ": is no array of one value that can be mapped; detach and attach again");
  void* at = ::mmap(nullptr, info.value_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return fail_errno(errno, pin.string() + ": cannot map its memory");
  return PinMemory({static_cast<std::byte*>(at), info.value_size});
}

PinMemory::~PinMemory() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace nfbpf::reader
