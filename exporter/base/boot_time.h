// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ctime>

namespace nfbpf {

// Seconds since the machine started, suspended or not; no clock step moves it.
inline double since_boot() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

}  // namespace nfbpf
