// SPDX-License-Identifier: Apache-2.0
#include "reader/btf_file.h"

#include <openssl/evp.h>

#include <cerrno>
#include <fstream>

namespace nfbpf::reader {
namespace {

// A map's BTF is a few KB; a file of this size is none.
constexpr std::uintmax_t kMaxBtfBytes = std::uintmax_t{64} << 20U;

}  // namespace

Result<std::string> sha256_hex(std::span<const std::byte> bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(), nullptr) != 1)
    return fail("OpenSSL has no SHA-256 here");
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (unsigned int i = 0; i < length; ++i) {
    text += kHex[digest[i] >> 4U];
    text += kHex[digest[i] & 0xfU];
  }
  return text;
}

Result<std::vector<std::byte>> read_btf_file(const std::filesystem::path& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::error_code code;
  const auto size = std::filesystem::file_size(path, code);
  if (!file || code)
    return fail_errno(errno != 0 ? errno : code.value(),
                      path.string() + ": cannot read the map's BTF");
  if (size > kMaxBtfBytes) return fail(path.string() + ": is too large to be a map's BTF");
  std::vector<std::byte> bytes(size);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size)))
    return fail(path.string() + ": is shorter than its size; load again");
  return bytes;
}

Result<std::vector<std::byte>> read_btf_file(const std::filesystem::path& path,
                                             const std::string& sha256) {
  auto bytes = read_btf_file(path);
  if (!bytes) return bytes;
  const auto digest = sha256_hex(*bytes);
  if (!digest) return tl::unexpected(digest.error());
  if (*digest != sha256)
    return fail(path.string() + ": sha256 is " + *digest + ", the manifest says " + sha256 +
                "; load again");
  return bytes;
}

}  // namespace nfbpf::reader
