// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/libbpf.h>

#include <map>
#include <memory>
#include <string>

#include "bpf/traffic/model.h"

namespace nfbpf::library_test {

// A program in this machine's kernel, run by BPF_PROG_TEST_RUN, and what the exporter shows of it.
// Needs root. Every function throws std::runtime_error where the kernel or the reader will not.
class ShownProgram {
 public:
  // A name in the folder of the objects: "icmp". `rows`, where not 0, is what the map named
  // `resized` holds.
  explicit ShownProgram(const std::string& name, const char* resized = nullptr,
                        std::uint32_t rows = 0);

  // Returns the program's answer.
  std::uint32_t run(const traffic_test::Met& met);

  // By series, as on the page: {"nfbpf_icmp_messages_total{...}", "3"}. Samples of 0 are left out.
  [[nodiscard]] std::map<std::string, std::string> samples() const;

  [[nodiscard]] int map(const char* name) const;

 private:
  struct Close {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
  };
  std::unique_ptr<bpf_object, Close> object_;
};

}  // namespace nfbpf::library_test
