// What the cache says of itself.
#include <algorithm>

#include "cache/model_cache_impl.h"

namespace hearth {

CacheStats ModelCache::Impl::Stats() const {
  MutexLock lock(mutex_);
  CacheStats stats = counters_;
  const Roster::Totals resident = roster_.ResidentTotals(nullptr);
  stats.resident = roster_.residents().size();
  stats.resident_models = resident.models;
  stats.resident_bytes = resident.bytes;
  stats.lingering = roster_.lingering().size();
  stats.lingering_bytes = roster_.lingering_bytes();
  stats.loading = flights_.size();
  for (const auto& [slot, entry] : roster_.residents()) {
    if (entry->in_use > 0) ++stats.in_use;
    if (pinned_.contains(entry->key)) ++stats.pinned;
  }
  return stats;
}

ResidentView ModelCache::Impl::View(const Entry& entry, TimePoint now) const {
  return {entry.key,
          entry.bytes(),
          Seconds(now - entry.last_used).count(),
          Seconds(now - entry.since).count(),
          entry.uses,
          entry.in_use,
          pinned_.contains(entry.key),
          OwnIdleSeconds(entry.key),
          entry.state != EntryState::kResident};
}

std::vector<ResidentView> ModelCache::Impl::Residents() const {
  MutexLock lock(mutex_);
  const TimePoint now = clock_->Now();
  std::vector<const Entry*> entries;
  for (const auto& [slot, entry] : roster_.residents()) entries.push_back(entry.get());
  std::sort(entries.begin(), entries.end(),
            [](const Entry* a, const Entry* b) { return a->id < b->id; });
  for (const EntryPtr& entry : roster_.lingering()) entries.push_back(entry.get());
  std::vector<ResidentView> views;
  for (const Entry* entry : entries) views.push_back(View(*entry, now));
  return views;
}

CacheLimits ModelCache::Impl::limits() const {
  MutexLock lock(mutex_);
  return limits_;
}

}  // namespace hearth
