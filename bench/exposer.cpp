// SPDX-License-Identifier: Apache-2.0
// nfbpf-bench-exposer: prometheus-cpp's Exposer as it is used, with that many series, until it is
// ended. The peer of bench/hostile.
#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/registry.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

int main(int argc, char** argv) {
  const int series = argc > 1 ? std::atoi(argv[1]) : 20'000;
  prometheus::Exposer exposer("127.0.0.1:0");
  auto registry = std::make_shared<prometheus::Registry>();
  auto& family = prometheus::BuildCounter().Name("pairs_total").Help("Pairs.").Register(*registry);
  for (int i = 0; i < series; ++i)
    family
        .Add({{"source", "10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256)},
              {"destination", "10.1.2.3"},
              {"direction", "out"},
              {"protocol", "udp"}})
        .Increment(i);
  exposer.RegisterCollectable(registry);
  std::printf("listening on 127.0.0.1:%d\n", exposer.GetListeningPorts().at(0));
  std::fflush(stdout);
  ::pause();
}
