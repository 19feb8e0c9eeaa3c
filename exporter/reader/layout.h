// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "traffic/map_rules.h"
#include "traffic/table.h"

struct btf;

namespace nfbpf::reader {

// The types of a map, as the kernel's raw BTF describes them.
class Btf {
 public:
  // `raw` is a BTF blob (Documentation/bpf/btf.rst); `name` is for messages.
  static Result<Btf> parse(std::span<const std::byte> raw, const std::string& name);

  // Takes over a BTF that a test built.
  explicit Btf(struct btf* owned) : btf_(owned) {}

  [[nodiscard]] const struct btf* get() const { return btf_.get(); }

 private:
  struct Free {
    void operator()(struct btf* b) const;
  };
  std::unique_ptr<struct btf, Free> btf_;
};

// A map's key and value as the manifest and the kernel name them.
struct MapTypes {
  std::string map;
  std::uint32_t key_type_id = 0;
  std::uint32_t value_type_id = 0;
  std::uint32_t key_size = 0;            // bytes, of the kernel's map
  std::uint32_t value_size = 0;          // bytes of one CPU's value, of the kernel's map
  std::vector<std::string> hidden = {};  // key members without a label
};

// Whether a value of this type is a program's own memory: a struct whose name ends in _state.
[[nodiscard]] bool is_state(const Btf& btf, std::uint32_t value_type_id);

// Whether the object that these types are of has the word that chooses between two buffers.
[[nodiscard]] bool has_epoch(const Btf& btf);

// Key members become labels, value members counters, gauges and histograms, as the names of their
// typedefs and tags say (bpf/abi/nfbpf.h) and `rules` want it otherwise. What cannot be shown is an
// error that names the map and the member.
[[nodiscard]] Result<traffic::Layout> decode_layout(const Btf& btf, const MapTypes& types,
                                                    const traffic::MapRules& rules = {});

}  // namespace nfbpf::reader
