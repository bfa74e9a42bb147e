#ifndef HEARTH_BASE_CLOCK_H_
#define HEARTH_BASE_CLOCK_H_

#include <chrono>

namespace hearth {

using TimePoint = std::chrono::steady_clock::time_point;
using Seconds = std::chrono::duration<double>;

// The time, as the cache sees it. Thread-safe. Tests give a clock they move by hand.
class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic; for intervals.
  virtual TimePoint Now() const = 0;
  // Seconds since 1970-01-01 UTC; for people.
  virtual double UnixSeconds() const = 0;
};

class SystemClock final : public Clock {
 public:
  TimePoint Now() const override { return std::chrono::steady_clock::now(); }
  double UnixSeconds() const override {
    return Seconds(std::chrono::system_clock::now().time_since_epoch()).count();
  }
};

}  // namespace hearth

#endif  // HEARTH_BASE_CLOCK_H_
