// SPDX-License-Identifier: Apache-2.0
#include "http/request_slots.h"

namespace nfbpf::http {

RequestSlots::Place::Place(RequestSlots& slots) : slots_(slots) {
  taken_ = slots_.take(*this);
}

RequestSlots::Place::~Place() {
  if (!taken_) return;
  {
    const std::lock_guard lock(slots_.mutex_);
    slots_.places_.erase(at_);
    if (counted_) --slots_.counted_;
  }
  slots_.freed_.notify_one();
}

void RequestSlots::Place::begin_write() {
  const std::lock_guard lock(slots_.mutex_);
  writing_ = true;
  since_ = Clock::now();
}

void RequestSlots::Place::end_write() {
  const std::lock_guard lock(slots_.mutex_);
  writing_ = false;
}

bool RequestSlots::take(Place& place) {
  std::unique_lock lock(mutex_);
  const auto until = Clock::now() + patience_;
  while (most_ != 0 && counted_ >= most_ && !make_room(Clock::now())) {
    if (Clock::now() >= until) return false;
    freed_.wait_for(lock, kIdleAfter / 4);
  }
  place.counted_ = true;
  ++counted_;
  place.at_ = places_.insert(places_.end(), &place);
  return true;
}

// Takes the place of one that waits for its client.
bool RequestSlots::make_room(Clock::time_point now) {
  for (Place* place : places_) {
    if (!place->counted_ || !place->writing_ || now - place->since_ < kIdleAfter) continue;
    place->counted_ = false;
    --counted_;
    return true;
  }
  return false;
}

}  // namespace nfbpf::http
