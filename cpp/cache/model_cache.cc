// Invariants of the cache. All state stands under one lock, and these hold whenever it is free:
//
//  1. The roster has at most one resident a slot. Its identity may be older than the file's: then
//     the file changed and nobody has asked since, or the new file was bad.
//  2. An entry is in exactly one place, and its state says in which: resident in the roster, in
//     `releasing_`, lingering in the roster (lingering or reclaiming), or known to its handles only
//     (departed). Each stay ends in exactly one Release(), begun by whoever takes the entry out
//     when no handle lives, else by the end of its last handle.
//  3. A handle keeps `in_use` above zero, and then the entry is no victim; nor is a pinned slot.
//     Only who names a model can take it out all the same: Erase, a changed file, the cache turned
//     off.
//  4. `flights_` has the one flight of a key from the first request until its load is done. Whoever
//     claims a queued flight must end it: the job posted for it, a caller on the executor's thread
//     (who must not wait for the posted job, which waits for him), or Shutdown. A load becomes
//     resident and is given to its waiters in one section of the lock.
//  5. The lock is never held while a model is loaded, released, reclaimed or destroyed, nor while a
//     job is posted or destroyed: each may want Python's GIL, whose holder may want this lock.
//     Entries are therefore carried out of the lock in vectors declared before it.
//  6. Only the executor's thread loads, releases and reclaims. If it will not come any more,
//     waiters are told so, and models are leaked rather than released on another thread.
//
// Room is made before a load, so that the memory is free when the load begins, and looked at once
// more after it, because loaders guess. Models that linger count until their holder lets go.
#include "cache/model_cache.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "cache/model_cache_impl.h"

namespace hearth {
namespace {

std::string Describe(const CacheLimits& limits) {
  if (!limits.enabled) return "keep_model_in_memory is off";
  std::string text;
  const auto add = [&text](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (limits.max_models) add("models: " + std::to_string(*limits.max_models));
  if (limits.max_host_bytes) add("RAM: " + FormatBytes(*limits.max_host_bytes));
  if (limits.max_device_bytes) add("VRAM: " + FormatBytes(*limits.max_device_bytes));
  return text.empty() ? "no limit" : text;
}

[[noreturn]] void ThrowClosed() {
  throw CacheClosed("hearth's model cache was shut down; nothing is loaded any more");
}

}  // namespace

ModelCache::Impl::Impl(Parts parts)
    : executor_(std::move(parts.executor)),
      clock_(std::move(parts.clock)),
      probe_(std::move(parts.probe)),
      events_(std::move(parts.events)),
      limits_(parts.limits),
      policy_(std::move(parts.policy)) {}

void ModelCache::Impl::Tell(EventKind kind, const ModelKey& key, const TierBytes& bytes,
                            Note note) const {
  CacheEvent event;
  event.kind = kind;
  event.model = key.name;
  event.loader = key.loader;
  event.reason = std::move(note.reason);
  event.asker = std::move(note.asker);
  event.bytes = bytes;
  event.ms = note.ms;
  events_->Append(std::move(event));
}

EntryPtr ModelCache::Impl::FindSlot(const ModelKey& key) const { return roster_.Find(Slot(key)); }

EntryPtr ModelCache::Impl::FindResident(const ModelKey& key) const {
  const EntryPtr& entry = roster_.Find(Slot(key));
  return entry && entry->key.identity == key.identity ? entry : nullptr;
}

void ModelCache::Impl::Touch(Entry& entry, bool strong) {
  const TimePoint now = clock_->Now();
  entry.last_used = now;
  entry.last_use = ++last_use_;
  if (!strong) return;
  ++entry.uses;
  entry.recent_uses = DecayedUses(entry.recent_uses, now - entry.counted_at) + 1;
  entry.counted_at = now;
}

ModelHandle ModelCache::Impl::Lease(const EntryPtr& entry, bool was_hit) {
  ++entry->in_use;
  return ModelHandle(std::unique_ptr<ModelHandle::Lease, ModelHandle::LeaseDeleter>(
      new ModelHandle::Lease(shared_from_this(), entry, was_hit)));
}

void ModelCache::Impl::EndLease(const EntryPtr& entry) {
  Entries to_release;
  bool exceeded = false;
  {
    MutexLock lock(mutex_);
    if (--entry->in_use > 0) return;
    if (entry->state == EntryState::kDeparted) {
      StartRelease(entry, to_release);
    } else {
      Touch(*entry, false);  // idle from now on, however long the use was
      exceeded = ClaimExcess();
    }
  }
  Release(std::move(to_release));
  if (exceeded) EndExcessSoon();
}

ModelHandle ModelCache::Impl::Lookup(const ModelKey& key) {
  const Slot slot(key);
  MutexLock lock(mutex_);
  const EntryPtr& entry = roster_.Find(slot);
  if (!entry || entry->key.identity != key.identity) {
    ++counters_.misses;
    return {};
  }
  ++counters_.hits;
  Touch(*entry, true);
  return Lease(entry, true);
}

ModelHandle ModelCache::Impl::Hit(const LoadRequest& request) {
  const EntryPtr entry = FindResident(request.key);
  if (!entry) return {};
  ++counters_.hits;
  Touch(*entry, true);
  Tell(EventKind::kHit, entry->key, entry->bytes(), {"resident", request.asker});
  return Lease(entry, true);
}

ModelHandle ModelCache::Impl::Acquire(const LoadRequest& request) {
  for (bool first = true;; first = false) {
    FlightPtr flight;
    bool is_new = false;
    {
      MutexLock lock(mutex_);
      if (closed_) ThrowClosed();
      if (ModelHandle hit = Hit(request)) return hit;
      if (first) ++counters_.misses;
      flight = JoinFlight(request, is_new);
      ++flight->waiters;
    }
    if (is_new && !executor_->IsCurrent()) Launch(flight);
    Await(flight);
    MutexLock lock(mutex_);
    // Refused because whoever asked first would rather have no model than an uncached one; we would
    // not.
    if (flight->refused && request.when_busy == WhenBusy::kServeUncached) continue;
    return Land(flight);
  }
}

FlightPtr ModelCache::Impl::Prewarm(const LoadRequest& request) {
  FlightPtr flight;
  bool is_new = false;
  {
    MutexLock lock(mutex_);
    if (closed_) ThrowClosed();
    if (FindResident(request.key)) {
      flight = std::make_shared<Flight>();
      flight->request = request;
      flight->stage = Flight::Stage::kDone;
      return flight;
    }
    flight = JoinFlight(request, is_new);
  }
  if (is_new) Launch(flight);
  return flight;
}

ModelHandle ModelCache::Impl::Redeem(const FlightPtr& flight) {
  {
    MutexLock lock(mutex_);
    const bool done = flight->stage == Flight::Stage::kDone;
    if (done && flight->error) std::rethrow_exception(flight->error);
  }
  return Acquire(flight->request);  // joins the flight, or finds the model resident
}

bool ModelCache::Impl::IsDone(const FlightPtr& flight) const {
  MutexLock lock(mutex_);
  return flight->stage == Flight::Stage::kDone;
}

bool ModelCache::Impl::RecordUse(const ModelKey& key, bool strong) {
  {
    MutexLock lock(mutex_);
    if (const EntryPtr entry = FindResident(key)) {
      Touch(*entry, strong);
      return true;
    }
    const std::list<EntryPtr>& lingering = roster_.lingering();
    const bool lingers = std::any_of(lingering.begin(), lingering.end(),
                                     [&key](const EntryPtr& entry) { return entry->key == key; });
    if (!lingers) return false;
  }
  if (!strong || !executor_->IsCurrent()) return true;
  const EntryPtr entry = TakeBack(key);
  if (!entry) return true;
  Entries to_release;
  {
    MutexLock lock(mutex_);
    Reclaim(entry, {}, to_release);
  }
  Release(std::move(to_release));
  FitLimits({nullptr, {}, entry});
  return true;
}

void ModelCache::Impl::UpdateBytes(const ModelKey& key, const TierBytes& bytes) {
  MutexLock lock(mutex_);
  if (const EntryPtr entry = FindResident(key)) {
    roster_.SetBytes(*entry, bytes);
    return;
  }
  const std::list<EntryPtr>& lingering = roster_.lingering();
  const auto newest = std::find_if(lingering.rbegin(), lingering.rend(),
                                   [&key](const EntryPtr& entry) { return entry->key == key; });
  if (newest != lingering.rend()) roster_.SetBytes(**newest, bytes);
}

void ModelCache::Impl::SetPinned(const ModelKey& key, bool pinned) {
  bool was_unpinned = false;
  {
    MutexLock lock(mutex_);
    const bool changed = pinned ? pinned_.insert(key).second : pinned_.erase(key) > 0;
    if (changed) Tell(pinned ? EventKind::kPinned : EventKind::kUnpinned, key, {}, {});
    was_unpinned = changed && !pinned && !closed_;
  }
  // All that a pin had held off: limits, free RAM, idle time. Else it stayed until somebody came.
  if (was_unpinned) executor_->Post([cache = shared_from_this()] { cache->Enforce(); });
}

void ModelCache::Impl::KeepAlive(const ModelKey& key, std::optional<double> seconds) {
  if (seconds && !(*seconds > 0 && std::isfinite(*seconds))) {  // NaN too
    throw Error("'" + key.name + "' can be kept alive for a number of seconds above 0; pin it to " +
                "keep it for ever");
  }
  MutexLock lock(mutex_);
  if (seconds) {
    keep_alive_.insert_or_assign(key, *seconds);
  } else {
    keep_alive_.erase(key);
  }
}

void ModelCache::Impl::SetLimits(const CacheLimits& limits) {
  Entries to_release;
  {
    MutexLock lock(mutex_);
    limits_ = limits;
    Tell(EventKind::kLimitsChanged, {}, {}, {Describe(limits), {}});
    Entries dropped;
    for (const auto& [slot, entry] : roster_.residents()) {
      if (!limits.enabled) dropped.push_back(entry);
    }
    for (const EntryPtr& entry : dropped) {
      Depart(entry, EventKind::kErased, "keep_model_in_memory is off", to_release);
    }
  }
  Release(std::move(to_release));
  Enforce();
}

void ModelCache::Impl::SetPolicy(std::unique_ptr<EvictionPolicy> policy) {
  std::shared_ptr<const EvictionPolicy> next = std::move(policy);
  MutexLock lock(mutex_);
  policy_.swap(next);
}

void ModelCache::Impl::Shutdown(bool release) {
  std::vector<FlightPtr> queued;
  bool first = false;
  {
    MutexLock lock(mutex_);
    first = !std::exchange(closed_, true);
    for (const auto& [key, flight] : flights_) {
      if (ClaimFlight(flight)) queued.push_back(flight);
    }
  }
  for (const FlightPtr& flight : queued) Cancel(flight);
  Entries to_release;
  {
    MutexLock lock(mutex_);
    while (SomebodyElseLoads()) flight_done_.Wait(mutex_);
    if (!first) return;
    if (release) {
      Entries residents;
      for (const auto& [slot, entry] : roster_.residents()) residents.push_back(entry);
      for (const EntryPtr& entry : residents) {
        Depart(entry, EventKind::kErased, "shutdown", to_release);
      }
    } else {
      new Roster::SlotMap(roster_.TakeResidents());  // leaked on purpose: the process ends
    }
  }
  Release(std::move(to_release));
}

}  // namespace hearth
