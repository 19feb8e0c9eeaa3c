// SPDX-License-Identifier: Apache-2.0
#include "loader/series_pins.h"

#include <bpf/bpf.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>

#include "abi/nfbpf.h"
#include "base/unique_fd.h"
#include "loader/map_layout.h"

namespace nfbpf::loader {
namespace fs = std::filesystem;
namespace {

// Linux 5.10 wants a value to fit in one kmalloc(), so there are many of a page each; they lie one
// behind the other all the same.
constexpr std::uint32_t kPage = 4096;

Result<UniqueFd> make_map(bpf_map_type type, const char* name, std::uint32_t value_size,
                          const bpf_map_create_opts* options, std::uint32_t entries = 1) {
  UniqueFd fd(bpf_map_create(type, name, sizeof(std::uint32_t), value_size, entries, options));
  if (!fd) {
    return fail_errno(errno, "make map " + std::string(name) + " of " +
                                 std::to_string(std::uint64_t{value_size} * entries) + " bytes");
  }
  return fd;
}

Result<void> pin(const UniqueFd& map, const fs::path& path, const Readers& readers, Undo& undo) {
  if (bpf_obj_pin(map.get(), path.c_str()) != 0) return fail_errno(errno, "pin " + path.string());
  undo.add([path] { ::unlink(path.c_str()); });
  return let_write(path, readers);
}

Result<void> make_fence(const fs::path& pin_dir, const Readers& readers, Undo& undo) {
  const auto post = make_map(BPF_MAP_TYPE_ARRAY, "nfbpf_post", sizeof(std::uint32_t), nullptr);
  if (!post) return tl::unexpected(post.error());
  LIBBPF_OPTS(bpf_map_create_opts, fenced, .inner_map_fd = static_cast<__u32>(post->get()));
  const auto fence =
      make_map(BPF_MAP_TYPE_ARRAY_OF_MAPS, "nfbpf_fence", sizeof(std::uint32_t), &fenced);
  if (!fence) return tl::unexpected(fence.error());
  if (auto ok = pin(*post, pin_dir / NFBPF_PIN_FENCE_POST, readers, undo); !ok) return ok;
  return pin(*fence, pin_dir / NFBPF_PIN_FENCE, readers, undo);
}

bool is_pinned(const fs::path& pin) {
  return ::access(pin.c_str(), F_OK) == 0;
}

std::uint64_t pages_of(std::uint32_t bytes) {
  return (std::uint64_t{bytes} + kPage - 1) / kPage;
}

void warn_of_other_size(const fs::path& series, std::uint32_t wanted_bytes) {
  const UniqueFd fd(bpf_obj_get(series.c_str()));
  const auto info = map_info(fd.get(), series.string());
  if (!info) return;
  if (info->max_entries != pages_of(wanted_bytes))
    spdlog::warn(
        "the memory for series goes on with the {} bytes it has, not {}: detach without "
        "--keep-maps "
        "first to resize it",
        std::uint64_t{info->max_entries} * kPage, wanted_bytes);
}

}  // namespace

Result<void> make_series_pins(const fs::path& pin_dir, std::optional<std::uint32_t> series_bytes,
                              const Readers& readers, Undo& undo) {
  if (!is_pinned(pin_dir / NFBPF_PIN_FENCE)) {
    ::unlink((pin_dir / NFBPF_PIN_FENCE_POST).c_str());  // of a loader that was killed between
    if (auto ok = make_fence(pin_dir, readers, undo); !ok) return ok;
  }
  const fs::path series = pin_dir / NFBPF_PIN_SERIES;
  if (is_pinned(series)) {
    if (series_bytes) warn_of_other_size(series, *series_bytes);
    return let_write(series, readers);
  }
  LIBBPF_OPTS(bpf_map_create_opts, mappable, .map_flags = BPF_F_MMAPABLE);
  const auto map =
      make_map(BPF_MAP_TYPE_ARRAY, "nfbpf_series", kPage, &mappable,
               static_cast<std::uint32_t>(pages_of(series_bytes.value_or(kSeriesBytesDefault))));
  if (!map) return tl::unexpected(map.error());
  return pin(*map, series, readers, undo);
}

void remove_series_pins(const fs::path& pin_dir, bool keep_series) {
  for (const char* name : {NFBPF_PIN_FENCE, NFBPF_PIN_FENCE_POST}) {
    ::unlink((pin_dir / name).c_str());
  }
  if (!keep_series) ::unlink((pin_dir / NFBPF_PIN_SERIES).c_str());
}

}  // namespace nfbpf::loader
