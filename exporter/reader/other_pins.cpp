// SPDX-License-Identifier: Apache-2.0
#include "reader/other_pins.h"

#include <algorithm>
#include <utility>

namespace nfbpf::reader {

OtherPins::OtherPins(std::vector<OtherPin> pins) {
  for (OtherPin& pin : pins) pins_.push_back({std::move(pin), std::nullopt, nullptr, {}});
}

std::optional<OtherPins::Stamp> OtherPins::stamp_of(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return Stamp{status.st_ino, status.st_ctim};
}

void OtherPins::follow_one(Pin& pin, MapOpener& opener) {
  const auto now = stamp_of(pin.wanted.path);
  if (pin.source && now && pin.stamp == now) return;
  auto opened = opener.open_other(pin.wanted);
  pin.stamp = now;
  pin.source = std::move(opened.source);
  pin.skipped_because = std::move(opened.skipped_because);
}

void OtherPins::follow(MapOpener& opener, const std::vector<std::string>& taken) {
  for (Pin& pin : pins_) {
    if (std::ranges::find(taken, pin.wanted.name) == taken.end()) {
      follow_one(pin, opener);
      continue;
    }
    pin.source.reset();
    pin.skipped_because = "map " + pin.wanted.name + ": nfbpf-load has a map of that name; give " +
                          pin.wanted.path.string() + " another with name in pinned_maps";
  }
}

std::vector<MapSource*> OtherPins::sources() const {
  std::vector<MapSource*> sources;
  for (const Pin& pin : pins_)
    if (pin.source) sources.push_back(pin.source.get());
  return sources;
}

std::vector<traffic::SkippedMap> OtherPins::skipped() const {
  std::vector<traffic::SkippedMap> skipped;
  for (const Pin& pin : pins_)
    if (!pin.source && !pin.skipped_because.empty())
      skipped.push_back({pin.wanted.name, pin.skipped_because});
  return skipped;
}

}  // namespace nfbpf::reader
