// SPDX-License-Identifier: Apache-2.0
#include "http/negotiation.h"

#include <gtest/gtest.h>

namespace nfbpf::http {
namespace {

TEST(Negotiation, OpenMetricsForThoseWhoPreferItByName) {
  struct Case {
    const char* accept;
    bool open;
  };
  const Case cases[] = {
      {"", false},
      {"*/*", false},
      {"text/plain", false},
      {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false},
      // Prometheus 2.42 and 3.5.
      {"application/openmetrics-text;version=1.0.0,application/"
       "openmetrics-text;version=0.0.1;q=0.75,"
       "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
       true},
      {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
       "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
       true},
      {"text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4", false},
      {"application/openmetrics-text", true},
      {"APPLICATION/OpenMetrics-Text; Version=\"1.0.0\"; Q=1.0", true},
      {"application/openmetrics-text;version=0.0.1", false},
      {"application/openmetrics-text;version=1.0.0;q=0", false},
      {"application/openmetrics-text;version=1.0.0;q=nonsense", false},
      {";;,,q=1", false},
  };
  for (const Case& c : cases) EXPECT_EQ(wants_openmetrics(c.accept), c.open) << c.accept;
}

TEST(Negotiation, GzipForThoseWhoTakeIt) {
  struct Case {
    const char* accept;
    bool gzip;
  };
  const Case cases[] = {{"", false},
                        {"gzip", true},
                        {"deflate, GZIP;q=0.1", true},
                        {"x-gzip", true},
                        {"br", false},
                        {"*", true},
                        {"*;q=0", false},
                        {"gzip;q=0, *", false},
                        {"gzip;q=0.000", false},
                        {"identity;q=1, *;q=0", false},
                        {"gzip;q=2", false}};
  for (const Case& c : cases) EXPECT_EQ(accepts_gzip(c.accept), c.gzip) << c.accept;
}

}  // namespace
}  // namespace nfbpf::http
