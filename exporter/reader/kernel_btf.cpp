// SPDX-License-Identifier: Apache-2.0
#include "reader/kernel_btf.h"

#include <bpf/btf.h>

#include <cerrno>
#include <string>

namespace nfbpf::reader {

Result<Btf> kernel_btf(std::uint32_t id) {
  errno = 0;
  btf* loaded = btf__load_from_kernel_by_id(id);
  if (loaded != nullptr) return Btf(loaded);
  const int code = errno;
  auto error = fail_errno(code, "cannot ask the kernel for BTF " + std::to_string(id));
  if (code == EPERM)
    error.value().what +=
        "; name a file with it as btf in pinned_maps (llvm-objcopy --dump-section .BTF=FILE "
        "OBJECT.bpf.o), as the exporter has not CAP_SYS_ADMIN";
  return error;
}

}  // namespace nfbpf::reader
