// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace nfbpf {

// What one row grew by in a second.
struct RowRate {
  std::string name;  // as it is shown; of several rows that are shown alike the sum
  double bytes = 0, packets = 0;
};

// Rates of the rows that tell who sends to whom, from one answer of /api/v1/traffic after the
// other.
class TopRates {
 public:
  // `partial`: answers do not have all rows, and one that is new may have been there before.
  explicit TopRates(bool partial) : partial_(partial) {}

  // Since the answer before; all 0 of the first. Throws what nlohmann-json and std::stoull do.
  [[nodiscard]] std::vector<RowRate> next(const nlohmann::json& answer);

 private:
  struct Row {
    std::string name;
    std::map<std::string, std::string> labels;
    std::uint64_t bytes = 0, packets = 0;
  };
  struct Map {
    double time = 0;  // when it was seen last
    // By key; those of `other` are not kept apart by it but by what they are.
    std::map<std::string, Row> rows, other;
  };
  [[nodiscard]] static Row row_of(const nlohmann::json& table, const nlohmann::json& cells);
  void choose_family(const nlohmann::json& answer);
  void measure(const Map& old, const Map& now, const std::vector<std::string>& other_by,
               std::map<std::string, RowRate>& rates) const;

  bool partial_;
  std::string family_;
  std::map<std::string, Map> maps_;
};

}  // namespace nfbpf
