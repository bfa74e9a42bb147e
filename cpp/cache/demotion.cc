// Giving device memory back while the model stays resident.
#include <utility>

#include "cache/model_cache_impl.h"

namespace hearth {

// Counted as given back from here on: whoever makes room meanwhile must not choose the same again.
void ModelCache::Impl::StartDemotion(const Entries& victims, const std::string& reason,
                                     Demotions& to_demote) {
  for (const EntryPtr& victim : victims) {
    to_demote.push_back({victim, victim->bytes(), reason});
    TierBytes left = victim->bytes();
    left.device = 0;
    roster_.SetBytes(*victim, left);
  }
}

void ModelCache::Impl::Demote(Demotions demotions) {
  if (demotions.empty()) return;
  if (executor_->IsCurrent()) {
    for (const Demotion& demotion : demotions) DemoteNow(demotion);
    return;
  }
  // May be lost with the executor: the process that ends gives the memory back.
  executor_->Post([self = shared_from_this(), demotions = std::move(demotions)] {
    for (const Demotion& demotion : demotions) self->DemoteNow(demotion);
  });
}

// False: it left, or is at work again since the job was posted.
bool ModelCache::Impl::BeginDemotion(const Demotion& demotion) {
  Entry& entry = *demotion.entry;
  if (entry.state != EntryState::kResident) return false;
  if (CanGo(entry)) return true;
  roster_.SetBytes(entry, demotion.before);
  return false;
}

void ModelCache::Impl::DemoteNow(const Demotion& demotion) {
  const EntryPtr& entry = demotion.entry;
  {
    MutexLock lock(mutex_);
    if (!BeginDemotion(demotion)) return;
  }
  const std::optional<TierBytes> left = entry->resident->Demote();
  Entries to_release;
  {
    MutexLock lock(mutex_);
    if (entry->state != EntryState::kResident) return;
    if (left && left->device < demotion.before.device) {
      ++counters_.demotions;
      Tell(EventKind::kDemoted, entry->key, demotion.before, {demotion.reason, {}});
      roster_.SetBytes(*entry, *left);
    } else {  // there is no tier below for it
      roster_.SetBytes(*entry, demotion.before);
      Depart(entry, EventKind::kEvicted, demotion.reason, to_release);
    }
  }
  Release(std::move(to_release));
}

}  // namespace hearth
