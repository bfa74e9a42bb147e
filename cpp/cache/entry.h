#ifndef HEARTH_CACHE_ENTRY_H_
#define HEARTH_CACHE_ENTRY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "model/model_key.h"
#include "model/model_loader.h"
#include "model/resident.h"

namespace hearth {

// Where an entry is in its life: resident -> departed (a handle still lives) -> releasing -> gone
// or lingering; lingering -> reclaiming -> resident, or lingering again. Uncached entries are born
// departed.
enum class EntryState { kResident, kDeparted, kReleasing, kLingering, kReclaiming };

// One loaded model. `key` and `resident` never change; all else is guarded by the cache's lock, but
// for `cached`, which only changes while no handle lives. Destroying an entry destroys the model,
// so the last reference is never dropped under the lock.
class Entry {
 public:
  Entry(ModelKey its_key, LoadedModel model)
      : key(std::move(its_key)), resident(std::move(model.resident)), bytes_(model.bytes) {}
  // Written by the roster only, or its totals would be wrong.
  const TierBytes& bytes() const { return bytes_; }

  // What each hit writes comes first and together: it is one line of the CPU's cache.
  std::size_t in_use = 0;
  TimePoint last_used;
  std::uint64_t last_use = 0;  // number of that use: two uses may share a point in time
  std::uint64_t uses = 0;      // strong ones
  double recent_uses = 0;      // as DecayedUses() of eviction_policy.h, at counted_at
  TimePoint counted_at;
  const ModelKey key;
  const std::unique_ptr<Resident> resident;
  bool cached = true;
  bool reported_gone = false;  // its holder let go while Release() was still running
  EntryState state = EntryState::kDeparted;
  std::uint64_t id = 0;  // grows with each admission; the order in which residents are listed
  TimePoint since;

 private:
  friend class Roster;
  enum class List { kNone, kResident, kLingering };
  List list_ = List::kNone;
  TierBytes bytes_;
};
using EntryPtr = std::shared_ptr<Entry>;

// A key's place in the table: the hash is computed once, outside the lock, and the strings stay
// where they are. REQUIRES: the key outlives it.
class Slot {
 public:
  explicit Slot(const ModelKey& key) : hash_(SlotHash()(key)), key_(&key) {}
  bool operator==(const Slot& other) const {
    return hash_ == other.hash_ && key_->SameSlot(*other.key_);
  }

  struct Hash {
    std::size_t operator()(const Slot& slot) const noexcept { return slot.hash_; }
  };

 private:
  std::size_t hash_;
  const ModelKey* key_;
};

}  // namespace hearth

#endif  // HEARTH_CACHE_ENTRY_H_
