// Invariants of the cache. All state stands under one lock, and these hold whenever it is free:
//
//  1. `residents_` has at most one entry a slot. Its identity may be older than the file's: then the
//     file changed and nobody has asked since, or the new file was bad.
//  2. An entry is in exactly one place: in `residents_` (kResident), in `lingering_` (kLingering), or
//     known to its leases and a pending release only (kDeparted). It goes resident -> departed ->
//     released, and from there to lingering or nowhere; and back from lingering to resident.
//  3. A departed entry is released exactly once: by whoever takes it out when no lease lives, else by
//     the end of its last lease. An entry served uncached is born departed.
//  4. A lease keeps `in_use` above zero, and then the entry is no victim. So is a pinned slot.
//  5. `flights_` has a flight for a key from the first request until the load is done. A flight is
//     run by one thread, the executor's: posted there, or claimed by a caller who is that thread.
//     Such a caller must not wait for the posted job, which waits for him.
//  6. The lock is never held while a model is loaded, released, reclaimed or destroyed, nor while a
//     job is posted: each of these may want Python's GIL, whose holder may want this lock. Entries
//     are therefore carried out of the lock in vectors declared before it.
//
// Room is made before a load, on the executor, so that the memory is free when the load begins.
#include "cache/model_cache.h"

#include <utility>

#include "base/error.h"
#include "cache/model_cache_impl.h"

namespace hearth {
namespace {

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

EntryPtr ModelCache::Impl::FindResident(const ModelKey& key) const {
  const auto found = residents_.find(key);
  if (found == residents_.end() || found->second->key.identity != key.identity) return nullptr;
  return found->second;
}

void ModelCache::Impl::Touch(Entry& entry, bool strong) {
  entry.last_used = clock_->Now();
  if (strong) ++entry.uses;
}

ModelHandle ModelCache::Impl::Lease(const EntryPtr& entry, bool was_hit) {
  ++entry->in_use;
  return ModelHandle(std::unique_ptr<ModelHandle::Lease, ModelHandle::LeaseDeleter>(
      new ModelHandle::Lease(shared_from_this(), entry, was_hit)));
}

void ModelCache::Impl::EndLease(const EntryPtr& entry) {
  Entries to_release;
  {
    MutexLock lock(mutex_);
    if (--entry->in_use == 0 && entry->state == EntryState::kDeparted) to_release = {entry};
  }
  if (!to_release.empty()) Release(std::move(to_release));
}

ModelHandle ModelCache::Impl::Lookup(const ModelKey& key) {
  MutexLock lock(mutex_);
  const auto found = residents_.find(key);
  if (found == residents_.end() || found->second->key.identity != key.identity) {
    ++counters_.misses;
    return {};
  }
  ++counters_.hits;
  Touch(*found->second, true);
  return Lease(found->second, true);
}

ModelHandle ModelCache::Impl::HitLocked(const LoadRequest& request) {
  const EntryPtr entry = FindResident(request.key);
  if (!entry) return {};
  ++counters_.hits;
  Touch(*entry, true);
  Tell(EventKind::kHit, entry->key, entry->bytes, {"resident", request.asker});
  return Lease(entry, true);
}

FlightPtr ModelCache::Impl::JoinFlight(const LoadRequest& request, bool& is_new) {
  FlightPtr& flight = flights_[request.key];
  is_new = flight == nullptr;
  if (is_new) {
    flight = std::make_shared<Flight>();
    flight->request = request;
    ++counters_.misses;
  }
  return flight;
}

bool ModelCache::Impl::ClaimFlight(const FlightPtr& flight) {
  if (flight->stage != Flight::Stage::kQueued) return false;
  flight->stage = Flight::Stage::kRunning;
  return true;
}

void ModelCache::Impl::LaunchFlight(const FlightPtr& flight) {
  const bool posted = executor_->Post([self = shared_from_this(), flight] {
    bool mine = false;
    {
      MutexLock lock(self->mutex_);
      mine = self->ClaimFlight(flight);
    }
    if (mine) self->RunFlight(flight);
  });
  if (posted) return;
  FailFlight(flight, std::make_exception_ptr(CacheClosed(
                         "hearth's model cache was shut down; nothing is loaded any more")));
}

void ModelCache::Impl::WaitUntilDone(const FlightPtr& flight) {
  while (flight->stage != Flight::Stage::kDone) flight_done_.Wait(mutex_);
}

ModelHandle ModelCache::Impl::Land(const FlightPtr& flight) {
  if (flight->error) std::rethrow_exception(flight->error);
  // FinishFlight counted this waiter as a use already, so that nobody evicts what he waited for.
  ModelHandle handle = Lease(flight->entry, false);
  --flight->entry->in_use;
  if (--flight->waiters == 0) flight->entry.reset();  // a ticket may outlive the model
  return handle;
}

ModelHandle ModelCache::Impl::Acquire(const LoadRequest& request) {
  FlightPtr flight;
  bool is_new = false;
  {
    MutexLock lock(mutex_);
    if (closed_) ThrowClosed();
    if (ModelHandle hit = HitLocked(request)) return hit;
    flight = JoinFlight(request, is_new);
    ++flight->waiters;
  }
  if (is_new && !executor_->IsCurrent()) LaunchFlight(flight);
  return Wait(flight);
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
  if (is_new) LaunchFlight(flight);
  return flight;
}

// REQUIRES: the caller is counted in flight->waiters.
ModelHandle ModelCache::Impl::Wait(const FlightPtr& flight) {
  const bool on_executor = executor_->IsCurrent();
  bool mine = false;
  {
    MutexLock lock(mutex_);
    if (on_executor) {
      mine = ClaimFlight(flight);
      if (!mine && flight->stage == Flight::Stage::kRunning) {
        --flight->waiters;
        throw Error("the loader of '" + flight->request.key.name +
                    "' asked for the very model it is loading");
      }
    }
  }
  if (mine) RunFlight(flight);
  MutexLock lock(mutex_);
  WaitUntilDone(flight);
  return Land(flight);
}

ModelHandle ModelCache::Impl::Redeem(const FlightPtr& flight) {
  {
    MutexLock lock(mutex_);
    if (flight->stage == Flight::Stage::kDone && flight->error) {
      std::rethrow_exception(flight->error);
    }
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
    bool lingers = false;
    for (const EntryPtr& entry : lingering_) lingers = lingers || entry->key == key;
    if (!lingers) return false;
    if (!strong || closed_ || !limits_.enabled) return true;
  }
  if (!executor_->IsCurrent()) return true;
  if (const EntryPtr entry = ReclaimLingering(key, {})) Enforce(entry.get());
  return true;
}

void ModelCache::Impl::UpdateBytes(const ModelKey& key, const TierBytes& bytes) {
  MutexLock lock(mutex_);
  if (const EntryPtr entry = FindResident(key)) {
    entry->bytes = bytes;
    return;
  }
  for (const EntryPtr& entry : lingering_) {
    if (entry->key == key) entry->bytes = bytes;
  }
}

void ModelCache::Impl::SetPinned(const ModelKey& key, bool pinned) {
  MutexLock lock(mutex_);
  const bool changed = pinned ? pinned_.insert(key).second : pinned_.erase(key) > 0;
  if (changed) Tell(pinned ? EventKind::kPinned : EventKind::kUnpinned, key, {}, {});
}

void ModelCache::Impl::SetLimits(const CacheLimits& limits) {
  Entries to_release;
  {
    MutexLock lock(mutex_);
    const bool turned_off = limits_.enabled && !limits.enabled;
    limits_ = limits;
    Tell(EventKind::kLimitsChanged, {}, {}, {});
    if (turned_off) {
      Entries all;
      for (const auto& [key, entry] : residents_) all.push_back(entry);
      for (const EntryPtr& entry : all) {
        to_release.push_back(Depart(entry, EventKind::kEvicted, "keep_model_in_memory is off"));
      }
    }
  }
  Release(std::move(to_release));
  Enforce(nullptr);
}

void ModelCache::Impl::SetPolicy(std::unique_ptr<EvictionPolicy> policy) {
  std::shared_ptr<const EvictionPolicy> next = std::move(policy);
  MutexLock lock(mutex_);
  policy_.swap(next);
}

void ModelCache::Impl::Shutdown(bool release) {
  std::vector<FlightPtr> queued;
  Entries residents;
  {
    MutexLock lock(mutex_);
    closed_ = true;
    for (const auto& [key, flight] : flights_) {
      if (ClaimFlight(flight)) queued.push_back(flight);
    }
  }
  for (const FlightPtr& flight : queued) {
    FailFlight(flight, std::make_exception_ptr(CacheClosed(
                           "hearth's model cache was shut down before this model was loaded")));
  }
  {
    MutexLock lock(mutex_);
    // The executor's thread may be the one that loads, and cannot wait for itself.
    while (release && !flights_.empty() && !executor_->IsCurrent()) flight_done_.Wait(mutex_);
    for (const auto& [key, entry] : residents_) residents.push_back(entry);
    if (release) {
      for (EntryPtr& entry : residents) entry = Depart(entry, EventKind::kErased, "shutdown");
    }
  }
  if (release) {
    Release(std::move(residents));
  } else if (!residents.empty()) {
    new Entries(std::move(residents));  // leaked on purpose: the process ends
  }
}

// --- the public face ---------------------------------------------------------------------------

void ModelHandle::LeaseDeleter::operator()(Lease* lease) const noexcept { delete lease; }
Resident& ModelHandle::operator*() const noexcept { return *lease_->entry().resident; }
Resident* ModelHandle::operator->() const noexcept { return lease_->entry().resident.get(); }
const ModelKey& ModelHandle::key() const noexcept { return lease_->entry().key; }
bool ModelHandle::cached() const noexcept { return lease_->entry().cached; }
bool ModelHandle::was_hit() const noexcept { return lease_->was_hit(); }

bool LoadTicket::IsReady() const noexcept { return state_->cache()->IsDone(state_->flight()); }
ModelHandle LoadTicket::Wait() const { return state_->cache()->Redeem(state_->flight()); }

ModelCache::ModelCache(Parts parts) : impl_(std::make_shared<Impl>(std::move(parts))) {}
ModelCache::~ModelCache() { impl_->Shutdown(true); }
ModelHandle ModelCache::Lookup(const ModelKey& key) { return impl_->Lookup(key); }
ModelHandle ModelCache::Acquire(const LoadRequest& request) { return impl_->Acquire(request); }
LoadTicket ModelCache::Prewarm(const LoadRequest& request) {
  return LoadTicket(std::make_shared<LoadTicket::State>(impl_, impl_->Prewarm(request)));
}
bool ModelCache::RecordUse(const ModelKey& key, bool strong) {
  return impl_->RecordUse(key, strong);
}
void ModelCache::UpdateBytes(const ModelKey& key, const TierBytes& bytes) {
  impl_->UpdateBytes(key, bytes);
}
void ModelCache::Pin(const ModelKey& key) { impl_->SetPinned(key, true); }
void ModelCache::Unpin(const ModelKey& key) { impl_->SetPinned(key, false); }
bool ModelCache::Erase(const ModelKey& key, const std::string& reason) {
  return impl_->EraseWhere([&](const ModelKey& other) { return other == key; }, reason) > 0;
}
std::size_t ModelCache::EraseByName(const std::string& name, const std::string& reason) {
  return impl_->EraseWhere([&](const ModelKey& other) { return other.name == name; }, reason);
}
TierBytes ModelCache::Trim(std::uint64_t host_bytes, std::uint64_t device_bytes,
                           const std::string& reason) {
  return impl_->Trim({0, host_bytes, device_bytes}, reason);
}
void ModelCache::Enforce() { impl_->Enforce(nullptr); }
std::optional<double> ModelCache::SecondsToNextExpiry() const {
  return impl_->SecondsToNextExpiry();
}
void ModelCache::LingeringGone(const ModelKey& key) { impl_->LingeringGone(key); }
std::size_t ModelCache::FreeLingering(const std::optional<ModelKey>& key) {
  return impl_->FreeLingering(key);
}
void ModelCache::SetLimits(const CacheLimits& limits) { impl_->SetLimits(limits); }
void ModelCache::SetPolicy(std::unique_ptr<EvictionPolicy> policy) {
  impl_->SetPolicy(std::move(policy));
}
CacheLimits ModelCache::limits() const { return impl_->limits(); }
CacheStats ModelCache::Stats() const { return impl_->Stats(); }
std::vector<ResidentView> ModelCache::Residents() const { return impl_->Residents(); }
EventRing& ModelCache::events() const { return impl_->events(); }
void ModelCache::Shutdown(bool release) { impl_->Shutdown(release); }

}  // namespace hearth
