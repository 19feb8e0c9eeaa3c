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
  if (info.type != BPF_MAP_TYPE_ARRAY || (info.map_flags & BPF_F_MMAPABLE) == 0)
    return fail(pin.string() + ": is no array that can be mapped; detach and attach again");
  // kernel/bpf/arraymap.c pads each value to 8 bytes.
  const std::size_t size = (std::size_t{info.value_size} + 7) / 8 * 8 * info.max_entries;
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return fail_errno(errno, pin.string() + ": cannot map its memory");
  return PinMemory({static_cast<std::byte*>(at), size});
}

Result<PinMemory> PinMemory::map_file(int fd, std::size_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return fail_errno(errno, "cannot map the file");
  return PinMemory({static_cast<std::byte*>(at), bytes});
}

PinMemory::~PinMemory() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace nfbpf::reader
