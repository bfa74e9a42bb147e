#ifndef HEARTH_TESTS_FAKES_MANUAL_CLOCK_H_
#define HEARTH_TESTS_FAKES_MANUAL_CLOCK_H_

#include <atomic>
#include <chrono>

#include "base/clock.h"

namespace hearth {

// Stands still until it is moved.
class ManualClock final : public Clock {
 public:
  TimePoint Now() const override {
    return TimePoint(std::chrono::duration_cast<TimePoint::duration>(Seconds(now_.load())));
  }
  double UnixSeconds() const override { return now_.load(); }
  void Advance(double seconds) { now_.store(now_.load() + seconds); }

 private:
  std::atomic<double> now_{1.0};
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_MANUAL_CLOCK_H_
