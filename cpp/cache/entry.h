#ifndef HEARTH_CACHE_ENTRY_H_
#define HEARTH_CACHE_ENTRY_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/mutex.h"
#include "model/model_key.h"
#include "model/resident.h"

namespace hearth {

// Where an entry is in its life. resident -> departed (still in use) -> released or lingering;
// lingering -> resident (reclaimed) or gone. Uncached entries are born departed.
enum class EntryState { kResident, kDeparted, kLingering };

// One loaded model. `key` and `resident` never change; all else is guarded by the cache's lock.
// Destroying an entry destroys the model, so the last reference is never dropped under the lock.
struct Entry {
  ModelKey key;
  std::unique_ptr<Resident> resident;
  bool cached = true;
  EntryState state = EntryState::kResident;
  TierBytes bytes;
  TimePoint since;
  TimePoint last_used;
  std::uint64_t uses = 0;
  std::size_t in_use = 0;
};
using EntryPtr = std::shared_ptr<Entry>;

}  // namespace hearth

#endif  // HEARTH_CACHE_ENTRY_H_
