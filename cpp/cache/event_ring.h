#ifndef HEARTH_CACHE_EVENT_RING_H_
#define HEARTH_CACHE_EVENT_RING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "cache/cache_event.h"

namespace hearth {

// The last events, oldest dropped first. Thread-safe; its lock is a leaf: it may be taken while the
// cache's lock is held, and takes no other.
class EventRing {
 public:
  EventRing(std::size_t capacity, std::shared_ptr<const Clock> clock);
  ~EventRing();
  // Sets sequence and unix_seconds and returns the sequence.
  std::uint64_t Append(CacheEvent event);
  // At most `max` events with a sequence above `after`, oldest first.
  std::vector<CacheEvent> Since(std::uint64_t after, std::size_t max) const;
  std::uint64_t last_sequence() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth

#endif  // HEARTH_CACHE_EVENT_RING_H_
