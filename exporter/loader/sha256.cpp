// SPDX-License-Identifier: Apache-2.0
#include "loader/sha256.h"

#include <openssl/sha.h>

#include <array>
#include <fstream>
#include <iterator>

namespace nfbpf::loader {

std::string sha256_hex(std::span<const std::byte> bytes) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 0xf];
  }
  return hex;
}

std::string sha256_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return {};
  const std::string content(std::istreambuf_iterator<char>(stream), {});
  return sha256_hex(std::as_bytes(std::span(content)));
}

}  // namespace nfbpf::loader
