// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"

namespace nfbpf::loader {

inline constexpr const char* kModuleName = "nfbpf";

// Parameters as the module takes them; kmod/hooks.c and program.c say what each means.
struct ModuleOptions {
  std::optional<std::filesystem::path> file;  // an nfbpf.ko; by default the installed one
  std::filesystem::path bpf_path;
  std::string hooks, families, priority, log, netns;
};

[[nodiscard]] bool module_is_loaded();

// One value below /sys/module/nfbpf, without its newline.
[[nodiscard]] Result<std::string> read_module_file(const std::string& relative);

// The loaded module's ABI is its version in sysfs, "MAJOR.MINOR"; another major one is an error.
[[nodiscard]] Result<void> check_module_abi();

// Inserts the module; the error names the cause as far as the kernel lets it be known: not
// installed, modules disabled, lockdown, no valid signature, another kernel's, a bad parameter.
[[nodiscard]] Result<void> insert_module(const ModuleOptions& options);

[[nodiscard]] Result<void> remove_module();

}  // namespace nfbpf::loader
