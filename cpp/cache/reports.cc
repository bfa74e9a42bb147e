// What the cache says of itself.
#include <algorithm>

#include "cache/model_cache_impl.h"

namespace hearth {

CacheStats ModelCache::Impl::Stats() const {
  MutexLock lock(mutex_);
  CacheStats stats = counters_;
  stats.resident = residents_.size();
  stats.resident_models = CountModels(nullptr);
  stats.resident_bytes = SumResident(nullptr);
  stats.lingering = lingering_.size();
  stats.lingering_bytes = SumLingering();
  stats.loading = flights_.size();
  for (const auto& [slot, entry] : residents_) {
    if (entry->in_use > 0) ++stats.in_use;
    if (pinned_.contains(entry->key)) ++stats.pinned;
  }
  return stats;
}

std::vector<ResidentView> ModelCache::Impl::Residents() const {
  MutexLock lock(mutex_);
  const TimePoint now = clock_->Now();
  std::vector<ResidentView> views;
  const auto add = [&](const Entry& entry) {
    views.push_back({entry.key, entry.bytes, Seconds(now - entry.last_used).count(),
                     Seconds(now - entry.since).count(), entry.uses, entry.in_use,
                     pinned_.contains(entry.key), entry.state != EntryState::kResident});
  };
  std::vector<const Entry*> residents;
  for (const auto& [slot, entry] : residents_) residents.push_back(entry.get());
  std::sort(residents.begin(), residents.end(),
            [](const Entry* a, const Entry* b) { return a->id < b->id; });
  for (const Entry* entry : residents) add(*entry);
  for (const EntryPtr& entry : lingering_) add(*entry);
  return views;
}

CacheLimits ModelCache::Impl::limits() const {
  MutexLock lock(mutex_);
  return limits_;
}

}  // namespace hearth
