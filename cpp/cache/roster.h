#ifndef HEARTH_CACHE_ROSTER_H_
#define HEARTH_CACHE_ROSTER_H_

#include <cstddef>
#include <list>
#include <unordered_map>

#include "cache/entry.h"
#include "model/tier_bytes.h"

namespace hearth {

// Who is resident and who lingers, and what they take together. Every arrival, departure and change
// of bytes goes through here, so the totals are never counted anew: each end of a handle asks for
// them, and with thousands of residents a count would cost more than the hit before it.
// Not thread-safe: the cache's lock guards it, and the bytes of every entry.
class Roster {
 public:
  using SlotMap = std::unordered_map<Slot, EntryPtr, Slot::Hash>;  // slots of the entries' keys
  struct Totals {
    TierBytes bytes;
    std::size_t models = 0;  // those that count as one
  };

  // The resident of that slot, or null. Good until the roster changes.
  const EntryPtr& Find(const Slot& slot) const;
  const SlotMap& residents() const { return residents_; }
  const std::list<EntryPtr>& lingering() const { return lingering_; }  // oldest first
  // Of the residents without `except`, which may be null.
  Totals ResidentTotals(const Entry* except) const;
  const TierBytes& lingering_bytes() const { return lingering_totals_.bytes; }

  // REQUIRES: the entry is not listed, and its slot has no resident.
  void AddResident(const EntryPtr& entry);
  // REQUIRES: the entry is not listed.
  void AddLingering(const EntryPtr& entry);
  // Takes it off its list; false when it is on none. The caller holds a reference of his own.
  bool Remove(const EntryPtr& entry);
  // Takes every resident off, for a caller who will not destroy them.
  [[nodiscard]] SlotMap TakeResidents();
  // Also for an entry that is on no list: its bytes are then in no total.
  void SetBytes(Entry& entry, const TierBytes& bytes);

 private:
  Totals* TotalsOf(const Entry& entry);
  void Count(const Entry& entry);
  void Discount(const Entry& entry);

  SlotMap residents_;
  std::list<EntryPtr> lingering_;
  Totals resident_totals_;
  Totals lingering_totals_;
};

}  // namespace hearth

#endif  // HEARTH_CACHE_ROSTER_H_
