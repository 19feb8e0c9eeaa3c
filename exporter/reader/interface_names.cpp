// SPDX-License-Identifier: Apache-2.0
#include "reader/interface_names.h"

#include <net/if.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <string_view>

namespace nfbpf::reader {
namespace {

bool is_number(std::string_view name) {
  return std::ranges::all_of(name, [](unsigned char c) { return std::isdigit(c) != 0; });
}

}  // namespace

std::vector<traffic::EnumName> own_interface_names() {
  const std::unique_ptr<struct if_nameindex, decltype(&if_freenameindex)> all(::if_nameindex(),
                                                                              if_freenameindex);
  std::vector<traffic::EnumName> names;
  if (!all) return names;
  for (const auto* each = all.get(); each->if_index != 0; ++each)
    if (!is_number(each->if_name)) names.push_back({each->if_index, each->if_name});
  std::ranges::sort(names, {}, &traffic::EnumName::value);
  return names;
}

bool has_interface_names(const traffic::Layout& layout) {
  return std::ranges::find(layout.labels, traffic::FieldKind::kIfname, &traffic::Field::kind) !=
         layout.labels.end();
}

traffic::Table with_interface_names(traffic::Table table,
                                    const std::vector<traffic::EnumName>& names) {
  if (!has_interface_names(table.layout())) return table;
  auto layout = std::make_shared<traffic::Layout>(table.layout());
  for (traffic::Field& label : layout->labels)
    if (label.kind == traffic::FieldKind::kIfname) label.names = names;
  table.rename(std::move(layout));
  return table;
}

}  // namespace nfbpf::reader
