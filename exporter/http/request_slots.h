// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <list>
#include <mutex>

namespace nfbpf::http {

// How many requests are answered at a time. A client that takes no more of its answer keeps its
// thread and not its place: whoever comes next has it.
class RequestSlots {
 public:
  using Clock = std::chrono::steady_clock;
  // At most `most` at a time; 0: as many as come. Who finds no place waits for `patience`.
  RequestSlots(std::size_t most, Clock::duration patience) : most_(most), patience_(patience) {}
  RequestSlots(const RequestSlots&) = delete;
  RequestSlots& operator=(const RequestSlots&) = delete;
  ~RequestSlots() = default;

  // A place, for as long as it lives.
  class Place {
   public:
    explicit Place(RequestSlots& slots);
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place();
    // false: there is none, and the request is to be turned away.
    explicit operator bool() const { return taken_; }
    // To be called before and after each piece is handed to the client. In between the place counts
    // as idle after a moment.
    void begin_write();
    void end_write();

   private:
    friend class RequestSlots;
    RequestSlots& slots_;
    bool taken_ = false;
    bool counted_ = false;  // one of most_
    bool writing_ = false;
    Clock::time_point since_{};  // writing
    std::list<Place*>::iterator at_{};
  };

 private:
  // A write that takes longer waits for the client.
  static constexpr std::chrono::milliseconds kIdleAfter{100};

  bool take(Place& place);
  bool make_room(Clock::time_point now);

  std::size_t most_;
  Clock::duration patience_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::size_t counted_ = 0;
  std::list<Place*> places_;
};

}  // namespace nfbpf::http
