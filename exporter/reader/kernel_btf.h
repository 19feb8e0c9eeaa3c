// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/result.h"
#include "reader/layout.h"

namespace nfbpf::reader {

// The BTF of this id as the kernel keeps it; wants CAP_SYS_ADMIN.
[[nodiscard]] Result<Btf> kernel_btf(std::uint32_t id);

}  // namespace nfbpf::reader
