// SPDX-License-Identifier: Apache-2.0
// The configuration: any bytes are a configuration or an error that names the file.
#include "config/config.h"

#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  // A file that it names is read: only what the text itself says is of interest.
  if (text.find("networks_file") != std::string::npos) return -1;
  const auto config = nfbpf::config::parse(text, "f");
  if (!config && !config.error().what.starts_with("f")) std::abort();
  if (!config && config.error().what.find('\n') != std::string::npos) std::abort();
  return 0;
}
