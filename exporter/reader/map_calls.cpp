// SPDX-License-Identifier: Apache-2.0
#include "reader/map_calls.h"

#include <bpf/bpf.h>

#include <cerrno>

namespace nfbpf::reader {
namespace {

// libbpf 1.x returns -errno; strict mode is its only mode.
int answer(int returned) {
  return returned < 0 ? returned : 0;
}

}  // namespace

int BpfMapCalls::lookup_batch(void* position, void* next, void* keys, void* values,
                              std::uint32_t* count) {
  return answer(bpf_map_lookup_batch(fd_.get(), position, next, keys, values, count, nullptr));
}

int BpfMapCalls::take_batch(void* position, void* next, void* keys, void* values,
                            std::uint32_t* count) {
  return answer(
      bpf_map_lookup_and_delete_batch(fd_.get(), position, next, keys, values, count, nullptr));
}

int BpfMapCalls::remove(const void* key) {
  return answer(bpf_map_delete_elem(fd_.get(), key));
}

int BpfMapCalls::next_key(const void* key, void* next) {
  return answer(bpf_map_get_next_key(fd_.get(), key, next));
}

int BpfMapCalls::lookup(const void* key, void* value) {
  return answer(bpf_map_lookup_elem(fd_.get(), key, value));
}

}  // namespace nfbpf::reader
