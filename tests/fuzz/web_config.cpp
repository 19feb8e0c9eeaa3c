// SPDX-License-Identifier: Apache-2.0
// Prometheus' web configuration: any bytes are one or an error, and what is one can be served with.
#include "config/web_config.h"

#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto config = nfbpf::config::parse_web_config(text, "f");
  if (!config) return config.error().what.starts_with("f") ? 0 : (std::abort(), 0);
  for (const auto& [name, value] : config->headers)
    if (value.find_first_of("\r\n") != std::string::npos) std::abort();
  for (const auto& [user, hash] : config->users)
    if (hash.size() != 60 || user.find(':') != std::string::npos) std::abort();
  if (config->tls && (config->tls->cert_file.empty() || config->tls->key_file.empty()))
    std::abort();
  return 0;
}
