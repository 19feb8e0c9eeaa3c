// SPDX-License-Identifier: Apache-2.0
#include "reader/hook_totals.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <string>

#include "traffic/families.h"

namespace nfbpf::reader {
namespace {

constexpr std::array<const char*, 2> kFamilies = {"ipv4", "ipv6"};
constexpr std::array<const char*, 5> kHooks = {"prerouting", "local_in", "forward", "local_out",
                                               "postrouting"};
// Files of a hook's folder, in the order of the table's counters.
constexpr std::array<const char*, 5> kFiles = {"packets", "bytes", "matched", "run_ns",
                                               "run_samples"};

template <typename Names>
std::vector<traffic::EnumName> names_of(const Names& names) {
  std::vector<traffic::EnumName> result;
  result.reserve(names.size());
  for (const char* name : names) result.push_back({result.size(), name});
  return result;
}

std::shared_ptr<const traffic::Layout> hook_layout() {
  traffic::Layout layout;
  layout.map = "the module's totals";
  layout.family = traffic::kTotalsFamily;
  layout.key_size = 2;
  layout.value_size = 0;  // never in memory as one value: each counter is a file
  layout.labels = {{"family", traffic::FieldKind::kEnum, 0, 1, names_of(kFamilies)},
                   {"hook", traffic::FieldKind::kEnum, 1, 1, names_of(kHooks)}};
  layout.counters = {{"packets", 0, 8},
                     {"bytes", 0, 8},
                     {"matched_packets", 0, 8},
                     {"sampled_run_seconds", 0, 8, traffic::Unit::kNanoseconds},
                     {"sampled_runs", 0, 8}};
  return std::make_shared<const traffic::Layout>(std::move(layout));
}

Result<std::uint64_t> read_number(const std::filesystem::path& path) {
  errno = 0;
  std::ifstream file(path);
  std::string text;
  if (!file || !std::getline(file, text))
    return fail_errno(errno != 0 ? errno : EIO, path.string() + ": cannot read the total");
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || end != text.data() + text.size())
    return fail(path.string() + ": \"" + text + "\" is not a number");
  return number;
}

Result<void> add_hook(traffic::Table& table, const std::filesystem::path& folder,
                      std::array<std::byte, 2> key) {
  const auto totals = table.append(key.data());
  for (std::size_t i = 0; i < kFiles.size(); ++i) {
    const auto number = read_number(folder / kFiles[i]);
    if (!number) return tl::unexpected(number.error());
    totals[i] = *number;
  }
  return {};
}

}  // namespace

Result<traffic::Table> read_hook_totals(const std::filesystem::path& sysfs) {
  static const auto layout = hook_layout();
  const auto hooks = sysfs / "module/nfbpf/hooks";
  std::error_code code;
  if (!std::filesystem::is_directory(hooks, code))
    return fail_errno(ENOENT, hooks.string() + ": the module is not loaded");
  // No capacity: this is no BPF map that could fill up.
  traffic::Table table(layout, 0);
  for (std::size_t family = 0; family < kFamilies.size(); ++family) {
    for (std::size_t hook = 0; hook < kHooks.size(); ++hook) {
      const auto folder = hooks / (std::string(kFamilies[family]) + "_" + kHooks[hook]);
      if (!std::filesystem::is_directory(folder, code)) continue;  // not hooked
      if (auto ok = add_hook(table, folder, {std::byte(family), std::byte(hook)}); !ok)
        return tl::unexpected(ok.error());
    }
  }
  return table;
}

std::optional<double> hooks_since(const std::filesystem::path& sysfs) {
  std::ifstream file(sysfs / "module/nfbpf/hooks/since");
  double since = 0;
  if (!(file >> since)) return std::nullopt;
  return since;
}

Result<ModuleTotals> read_module_totals(const std::filesystem::path& sysfs) {
  constexpr int kTries = 3;
  auto since = hooks_since(sysfs);
  for (int tries = 1;; ++tries) {
    auto totals = read_hook_totals(sysfs);
    if (!totals) return tl::unexpected(totals.error());
    const auto afterwards = hooks_since(sysfs);
    if (since == afterwards) return ModuleTotals{std::move(*totals), since};
    if (tries == kTries) return ModuleTotals{std::move(*totals), std::nullopt};
    since = afterwards;
  }
}

std::optional<std::string> running_program(const std::filesystem::path& sysfs) {
  std::ifstream file(sysfs / "module/nfbpf/program/id");
  std::string id;
  if (!(file >> id)) return std::nullopt;
  return id;
}

}  // namespace nfbpf::reader
