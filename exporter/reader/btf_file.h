// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace nfbpf::reader {

[[nodiscard]] Result<std::vector<std::byte>> read_btf_file(const std::filesystem::path& path);

// The bytes of a file whose SHA-256 is the given one (64 lower-case hex digits).
[[nodiscard]] Result<std::vector<std::byte>> read_btf_file(const std::filesystem::path& path,
                                                           const std::string& sha256);

// 64 lower-case hex digits.
[[nodiscard]] Result<std::string> sha256_hex(std::span<const std::byte> bytes);

}  // namespace nfbpf::reader
