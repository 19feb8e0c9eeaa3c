// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/libbpf.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace nfbpf::loader {

// The bytes of a `const volatile` of the object's program, as they will be loaded. Nothing if the
// object has none of that name. Valid until the object is loaded.
[[nodiscard]] std::optional<std::span<std::byte>> find_constant(bpf_object* object,
                                                                std::string_view name);

}  // namespace nfbpf::loader
