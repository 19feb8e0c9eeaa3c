// SPDX-License-Identifier: Apache-2.0
#include "bpf/library/shown_program.h"

#include <bpf/btf.h>
#include <unistd.h>

#include <cstring>
#include <span>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "bpf/traffic/loaded_program.h"
#include "exposition/dialect.h"
#include "exposition/family_text.h"
#include "exposition/page.h"
#include "reader/batch_reader.h"
#include "reader/layout.h"
#include "traffic/families.h"

namespace nfbpf::library_test {
namespace {

class Text final : public exposition::Sink {
 public:
  bool write(std::string_view chunk) override {
    text.append(chunk);
    return true;
  }
  std::string text;
};

template <typename T>
T want(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().what);
  return std::move(*result);
}

reader::Btf types_of(const bpf_object* object) {
  __u32 size = 0;
  const void* raw = btf__raw_data(bpf_object__btf(object), &size);
  return want(reader::Btf::parse({static_cast<const std::byte*>(raw), size}, "object"));
}

traffic::Table read(const bpf_map* map, const reader::Btf& types) {
  const bool per_cpu = bpf_map__type(map) == BPF_MAP_TYPE_PERCPU_HASH;
  const auto copies = static_cast<std::uint32_t>(per_cpu ? libbpf_num_possible_cpus() : 1);
  auto layout = want(reader::decode_layout(
      types, {bpf_map__name(map), bpf_map__btf_key_type_id(map), bpf_map__btf_value_type_id(map),
              bpf_map__key_size(map), bpf_map__value_size(map)}));
  reader::BatchReader reader(
      std::make_unique<reader::BpfMapCalls>(UniqueFd(::dup(bpf_map__fd(map)))), std::move(layout),
      {bpf_map__max_entries(map), copies, per_cpu});
  return want(reader.read());
}

std::string page_of(const std::vector<traffic::Table>& tables) {
  const auto set = traffic::FamilySet::build(tables);
  for (const auto& map : set.rejected()) throw std::runtime_error(map.why);
  Text sink;
  exposition::Page page(sink);
  for (const auto& family : set.families())
    exposition::write_family(page, exposition::TextDialect{}, family);
  page.flush();
  return sink.text;
}

}  // namespace

ShownProgram::ShownProgram(const std::string& name, const char* resized, std::uint32_t rows)
    : object_(bpf_object__open_file((NFBPF_OBJECTS "/" + name + ".bpf.o").c_str(), nullptr)) {
  if (!object_) throw std::runtime_error("open " + name);
  if (rows != 0)
    bpf_map__set_max_entries(bpf_object__find_map_by_name(object_.get(), resized), rows);
  if (bpf_object__load(object_.get()) != 0) throw std::runtime_error("load " + name);
}

std::uint32_t ShownProgram::run(const traffic_test::Met& met) {
  return traffic_test::test_run(bpf_program__fd(bpf_object__next_program(object_.get(), nullptr)),
                                met);
}

int ShownProgram::map(const char* name) const {
  return bpf_object__find_map_fd_by_name(object_.get(), name);
}

std::map<std::string, std::string> ShownProgram::samples() const {
  const reader::Btf types = types_of(object_.get());
  std::vector<traffic::Table> tables;
  const bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object_.get()) {
    if (bpf_map__is_internal(map) || reader::is_state(types, bpf_map__btf_value_type_id(map)))
      continue;
    tables.push_back(read(map, types));
  }
  std::map<std::string, std::string> samples;
  std::istringstream page(page_of(tables));
  for (std::string line; std::getline(page, line);) {
    const auto space = line.rfind(' ');
    if (line[0] != '#' && std::stod(line.substr(space)) != 0)
      samples[line.substr(0, space)] = line.substr(space + 1);
  }
  return samples;
}

}  // namespace nfbpf::library_test
