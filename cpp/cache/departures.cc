// Leaving the cache: by eviction or erasure, with a workflow still holding on, and at the last.
#include <utility>

#include "cache/model_cache_impl.h"

namespace hearth {
namespace {

constexpr std::size_t kRememberedDepartures = 4096;

}  // namespace

void ModelCache::Impl::RememberDeparture(const ModelKey& key, std::string reason) {
  // It only serves the wording of an event; forgetting all of it now and then does no harm.
  if (departures_.size() >= kRememberedDepartures) departures_.clear();
  departures_.insert_or_assign(key, std::move(reason));
}

std::string ModelCache::Impl::WhyAbsent(const ModelKey& key) const {
  if (residents_.contains(key)) return "file changed";
  const auto departed = departures_.find(key);
  return departed == departures_.end() ? "never loaded" : departed->second;
}

EntryPtr ModelCache::Impl::Depart(const EntryPtr& entry, EventKind kind,
                                  const std::string& reason) {
  EntryPtr leaving = entry;  // `entry` may be the table's own reference
  residents_.erase(leaving->key);
  leaving->state = EntryState::kDeparted;
  const bool evicted = kind == EventKind::kEvicted;
  ++(evicted ? counters_.evictions : counters_.erasures);
  RememberDeparture(leaving->key, (evicted ? "evicted: " : "erased: ") + reason);
  Tell(kind, leaving->key, leaving->bytes, {reason, {}});
  return leaving->in_use == 0 ? leaving : nullptr;
}

void ModelCache::Impl::Release(Entries entries) {
  std::erase(entries, nullptr);
  if (entries.empty()) return;
  if (executor_->IsCurrent()) {
    for (const EntryPtr& entry : entries) ReleaseNow(entry);
    return;
  }
  auto shared = std::make_shared<Entries>(std::move(entries));
  const bool posted = executor_->Post([self = shared_from_this(), shared] {
    for (const EntryPtr& entry : *shared) self->ReleaseNow(entry);
  });
  // Nobody will ever run it, and releasing on this thread could crash: leaked on purpose.
  if (!posted) new Entries(std::move(*shared));
}

void ModelCache::Impl::ReleaseNow(const EntryPtr& entry) {
  const ReleaseOutcome outcome = entry->resident->Release();
  if (!outcome.is_lingering) return;
  MutexLock lock(mutex_);
  entry->state = EntryState::kLingering;
  entry->bytes = outcome.lingering;
  lingering_.push_back(entry);
  Tell(EventKind::kLingering, entry->key, entry->bytes, {"a workflow still holds it", {}});
}

std::size_t ModelCache::Impl::EraseWhere(const std::function<bool(const ModelKey&)>& matches,
                                         const std::string& reason) {
  Entries erased;
  {
    MutexLock lock(mutex_);
    for (const auto& [key, entry] : residents_) {
      if (matches(key)) erased.push_back(entry);
    }
    for (EntryPtr& entry : erased) entry = Depart(entry, EventKind::kErased, reason);
  }
  const std::size_t count = erased.size();
  Release(std::move(erased));
  return count;
}

// Several generations of a key may linger; the oldest is taken to be the one that went.
void ModelCache::Impl::LingeringGone(const ModelKey& key) {
  EntryPtr gone;  // destroyed outside the lock
  MutexLock lock(mutex_);
  for (auto it = lingering_.begin(); it != lingering_.end(); ++it) {
    if ((*it)->key != key) continue;
    gone = *it;
    lingering_.erase(it);
    Tell(EventKind::kLingeringGone, key, gone->bytes, {"no workflow holds it any more", {}});
    return;
  }
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
    for (const EntryPtr& entry : lingering_) {
      if (!key || entry->key == *key) asked.push_back(entry);
    }
  }
  std::size_t gone = 0;
  for (const EntryPtr& entry : asked) {
    const ReleaseOutcome outcome = entry->resident->FreeLingering();
    MutexLock lock(mutex_);
    if (outcome.is_lingering) {
      entry->bytes = outcome.lingering;
    } else if (std::erase(lingering_, entry) > 0) {
      Tell(EventKind::kLingeringGone, entry->key, entry->bytes, {"its holder was asked", {}});
      ++gone;
    }
  }
  return gone;
}

}  // namespace hearth
