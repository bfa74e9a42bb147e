// Leaving the cache, by eviction, erasure or replacement, and giving the memory back.
#include <utility>

#include "cache/model_cache_impl.h"

namespace hearth {
namespace {

constexpr std::size_t kRememberedDepartures = 4096;

}  // namespace

// Releases as a job of the executor. When the executor refuses or drops the job, the models are
// leaked on purpose: releasing them on a thread that is not theirs could crash a process that is
// about to end anyway.
class ModelCache::Impl::PostedRelease {
 public:
  PostedRelease(std::shared_ptr<Impl> cache, Entries entries)
      : cache_(std::move(cache)), entries_(std::move(entries)) {}
  ~PostedRelease() {
    if (entries_.empty()) return;
    MutexLock lock(cache_->mutex_);
    for (const EntryPtr& entry : entries_) cache_->releasing_.remove(entry);
    new Entries(std::move(entries_));
  }
  PostedRelease(const PostedRelease&) = delete;
  PostedRelease& operator=(const PostedRelease&) = delete;

  void Run() {
    for (const EntryPtr& entry : std::exchange(entries_, {})) cache_->ReleaseNow(entry);
  }

 private:
  const std::shared_ptr<Impl> cache_;
  Entries entries_;
};

void ModelCache::Impl::RememberDeparture(const ModelKey& key, std::string reason) {
  // It only serves the wording of an event; forgetting all of it now and then does no harm.
  if (departures_.size() >= kRememberedDepartures) departures_.clear();
  departures_.insert_or_assign(key, std::move(reason));
}

std::string ModelCache::Impl::WhyAbsent(const ModelKey& key) const {
  if (FindSlot(key)) return "file changed";
  const auto departed = departures_.find(key);
  return departed == departures_.end() ? "never loaded" : departed->second;
}

// Takes the entry out of the table; its memory follows now, or with the last handle.
void ModelCache::Impl::Leave(const EntryPtr& entry, Entries& to_release) {
  const EntryPtr leaving = entry;  // `entry` may be the table's own reference
  roster_.Remove(leaving);
  leaving->state = EntryState::kDeparted;
  if (leaving->in_use == 0) StartRelease(leaving, to_release);
}

void ModelCache::Impl::Depart(const EntryPtr& entry, EventKind kind, const std::string& reason,
                              Entries& to_release) {
  const bool evicted = kind == EventKind::kEvicted;
  ++(evicted ? counters_.evictions : counters_.erasures);
  RememberDeparture(entry->key, (evicted ? "evicted: " : "erased: ") + reason);
  Tell(kind, entry->key, entry->bytes(), {reason, {}});
  Leave(entry, to_release);
}

void ModelCache::Impl::StartRelease(const EntryPtr& entry, Entries& to_release) {
  entry->state = EntryState::kReleasing;
  releasing_.push_back(entry);
  to_release.push_back(entry);
}

void ModelCache::Impl::Release(Entries entries) {
  if (entries.empty()) return;
  if (executor_->IsCurrent()) {
    for (const EntryPtr& entry : entries) ReleaseNow(entry);
    return;
  }
  executor_->Post([job = std::make_shared<PostedRelease>(shared_from_this(), std::move(entries))] {
    job->Run();
  });
}

void ModelCache::Impl::ReleaseNow(const EntryPtr& entry) {
  const ReleaseOutcome outcome = entry->resident->Release();
  MutexLock lock(mutex_);
  releasing_.remove(entry);
  if (outcome.is_lingering && !entry->reported_gone) StartLingering(entry, outcome.lingering);
}

std::size_t ModelCache::Impl::EraseWhere(const std::function<bool(const ModelKey&)>& matches,
                                         const std::string& reason) {
  Entries erased;
  Entries to_release;
  {
    MutexLock lock(mutex_);
    for (const auto& [slot, entry] : roster_.residents()) {
      if (matches(entry->key)) erased.push_back(entry);
    }
    for (const EntryPtr& entry : erased) Depart(entry, EventKind::kErased, reason, to_release);
  }
  Release(std::move(to_release));
  return erased.size();
}

}  // namespace hearth
