// Models that left the cache while a workflow still holds them.
#include <algorithm>
#include <utility>

#include "cache/model_cache_impl.h"

namespace hearth {

void ModelCache::Impl::StartLingering(const EntryPtr& entry, const TierBytes& left) {
  entry->state = EntryState::kLingering;
  roster_.SetBytes(*entry, left);
  roster_.AddLingering(entry);
  Tell(EventKind::kLingering, entry->key, left, {"a workflow still holds it", {}});
}

// The lingering model of that key, whole again and in no table, or null. Of several generations the
// newest that is whole. While the cache is off, or the slot has a resident, nobody is taken back.
EntryPtr ModelCache::Impl::TakeBack(const ModelKey& key) {
  Entries candidates;
  {
    MutexLock lock(mutex_);
    if (closed_ || !limits_.enabled || FindSlot(key)) return nullptr;
    for (auto it = roster_.lingering().rbegin(); it != roster_.lingering().rend(); ++it) {
      if ((*it)->state != EntryState::kLingering || (*it)->key != key) continue;
      (*it)->state = EntryState::kReclaiming;
      candidates.push_back(*it);
    }
  }
  EntryPtr taken;
  for (const EntryPtr& candidate : candidates) {
    const bool whole = !taken && candidate->resident->Reclaim();
    MutexLock lock(mutex_);
    candidate->state = EntryState::kLingering;  // a part of it is gone; the rest still takes memory
    if (!whole) continue;
    roster_.Remove(candidate);
    taken = candidate;
  }
  return taken;
}

// The key is all that the reporter knows. Of several generations the oldest that is listed goes: in
// the end each was reported once, so that the list is right again, whatever the order was.
void ModelCache::Impl::LingeringGone(const ModelKey& key) {
  EntryPtr gone;  // destroyed outside the lock
  MutexLock lock(mutex_);
  const auto has_key = [&key](const EntryPtr& entry) {
    return entry->key == key && !entry->reported_gone;
  };
  const auto listed = std::find_if(roster_.lingering().begin(), roster_.lingering().end(), has_key);
  if (listed != roster_.lingering().end()) {
    gone = *listed;
    roster_.Remove(gone);
    Tell(EventKind::kLingeringGone, key, gone->bytes(), {"no workflow holds it any more", {}});
    return;
  }
  // Its holder let go while Release() was still counting what lingers.
  const auto releasing = std::find_if(releasing_.begin(), releasing_.end(), has_key);
  if (releasing != releasing_.end()) (*releasing)->reported_gone = true;
}

std::size_t ModelCache::Impl::FreeLingering(const std::optional<ModelKey>& key) {
  if (executor_->IsCurrent()) return FreeLingeringNow(key);
  executor_->Post([self = shared_from_this(), key] { self->FreeLingeringNow(key); });
  return 0;
}

std::size_t ModelCache::Impl::FreeLingeringNow(const std::optional<ModelKey>& key) {
  Entries asked;
  {
    MutexLock lock(mutex_);
    for (const EntryPtr& entry : roster_.lingering()) {
      if (entry->state == EntryState::kLingering && (!key || entry->key == *key)) {
        asked.push_back(entry);
      }
    }
  }
  std::size_t gone = 0;
  for (const EntryPtr& entry : asked) {
    const ReleaseOutcome outcome = entry->resident->FreeLingering();
    MutexLock lock(mutex_);
    if (outcome.is_lingering) {
      roster_.SetBytes(*entry, outcome.lingering);
    } else if (entry->state == EntryState::kLingering && roster_.Remove(entry)) {
      Tell(EventKind::kLingeringGone, entry->key, entry->bytes(), {"its holder was asked", {}});
      ++gone;
    }
  }
  return gone;
}

}  // namespace hearth
