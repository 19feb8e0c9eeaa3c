// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

namespace nfbpf::loader {

// Lower-case hex of the SHA-256 of `bytes`.
[[nodiscard]] std::string sha256_hex(std::span<const std::byte> bytes);

}  // namespace nfbpf::loader
