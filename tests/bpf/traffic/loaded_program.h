// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <memory>
#include <string>

#include "bpf/traffic/model.h"
#include "loader/choices.h"
#include "loader/filter.h"

namespace nfbpf::traffic_test {

// Runs a program once or `repeat` times, of *nanoseconds each on average; returns its answer.
// Throws std::runtime_error where the kernel will not.
std::uint32_t test_run(int program, const Met& met, std::uint32_t repeat = 1,
                       std::uint32_t* nanoseconds = nullptr);

// The built-in program in this machine's kernel, run by BPF_PROG_TEST_RUN. Needs root.
class LoadedProgram {
 public:
  // `object` is the path of a traffic*.bpf.o. Throws std::runtime_error with libbpf's words.
  LoadedProgram(const std::string& object, const loader::Choices& choices, std::uint32_t pairs);

  // Writes the rules straight to the maps of this object; it was loaded with choices.filters.
  void set_rules(const loader::Rules& rules);

  // See test_run().
  std::uint32_t run(const Met& met, std::uint32_t repeat = 1,
                    std::uint32_t* nanoseconds = nullptr) {
    return test_run(program_, met, repeat, nanoseconds);
  }

  // What the maps hold, summed over the CPUs.
  [[nodiscard]] Maps maps() const;

 private:
  struct Close {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
  };
  [[nodiscard]] int map(const char* name) const;

  std::unique_ptr<bpf_object, Close> object_;
  int program_ = -1;
};

}  // namespace nfbpf::traffic_test
