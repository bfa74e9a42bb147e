#include "cache/event_ring.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/mutex.h"

namespace hearth {

class EventRing::Impl {
 public:
  Impl(std::size_t capacity, std::shared_ptr<const Clock> clock)
      : capacity_(std::max<std::size_t>(capacity, 1)), clock_(std::move(clock)) {}

  std::uint64_t Append(CacheEvent event) {
    event.unix_seconds = clock_->UnixSeconds();
    MutexLock lock(mutex_);
    event.sequence = ++last_;
    if (events_.size() == capacity_) events_.pop_front();
    events_.push_back(std::move(event));
    return last_;
  }

  std::vector<CacheEvent> Since(std::uint64_t after, std::size_t max) const {
    MutexLock lock(mutex_);
    // Sequences have no gaps, so the position follows from the number.
    const std::uint64_t first = last_ - events_.size();
    const std::size_t skip =
        after <= first ? 0
                       : static_cast<std::size_t>(std::min<std::uint64_t>(after, last_) - first);
    const std::size_t count = std::min(max, events_.size() - skip);
    const auto begin = events_.begin() + static_cast<std::ptrdiff_t>(skip);
    return {begin, begin + static_cast<std::ptrdiff_t>(count)};
  }

  std::uint64_t last() const {
    MutexLock lock(mutex_);
    return last_;
  }

 private:
  const std::size_t capacity_;
  const std::shared_ptr<const Clock> clock_;
  mutable Mutex mutex_;
  std::deque<CacheEvent> events_ HEARTH_GUARDED_BY(mutex_);
  std::uint64_t last_ HEARTH_GUARDED_BY(mutex_) = 0;
};

EventRing::EventRing(std::size_t capacity, std::shared_ptr<const Clock> clock)
    : impl_(std::make_unique<Impl>(capacity, std::move(clock))) {}
EventRing::~EventRing() = default;
std::uint64_t EventRing::Append(CacheEvent event) { return impl_->Append(std::move(event)); }
std::vector<CacheEvent> EventRing::Since(std::uint64_t after, std::size_t max) const {
  return impl_->Since(after, max);
}
std::uint64_t EventRing::last_sequence() const { return impl_->last(); }

}  // namespace hearth
