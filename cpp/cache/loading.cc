// What a flight does, from claim to end. Everything here runs on the executor's thread.
#include <exception>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "cache/model_cache_impl.h"

namespace hearth {

void ModelCache::Impl::RunFlight(const FlightPtr& flight) {
  EntryPtr entry;
  try {
    entry = RunGuarded(flight);
  } catch (...) {
    // Every waiter gets the loader's own exception, whatever it is.
    Fail(flight, std::current_exception());
  }
  // The newcomer may have been reclaimed, or be the outer one of two nested loads: neither had room
  // made for it alone. It is not the victim of its own arrival.
  if (entry) FitLimits({nullptr, {}, entry});
}

// The new resident, or null when there is none.
EntryPtr ModelCache::Impl::RunGuarded(const FlightPtr& flight) {
  if (EntryPtr entry = FindOrReclaim(flight)) return entry;
  const LoadRequest& request = flight->request;
  const Room before = FitLimits({&request.key, request.expected, nullptr});
  if (!before.cacheable && Refuse(flight, before)) return nullptr;
  EaseRamShortage({&request.key, request.expected, nullptr},
                  FormatBytes(request.expected.host()) + " of RAM needed for " + request.key.name);
  Loaded loaded = Load(request);
  // The loader may have taken more than was expected.
  loaded.room =
      before.cacheable ? FitLimits({&request.key, loaded.entry->bytes(), nullptr}) : before;
  Entries to_release;
  bool resident = false;
  {
    // One section: an Erase in between would release a model that its waiters are about to get.
    MutexLock lock(mutex_);
    Admit(loaded, to_release);
    resident = loaded.entry->cached;
    GiveToWaiters(flight, loaded.entry, to_release);
  }
  Release(std::move(to_release));
  return resident ? loaded.entry : nullptr;
}

// Ends the flight without a load if that is possible.
EntryPtr ModelCache::Impl::FindOrReclaim(const FlightPtr& flight) {
  const ModelKey& key = flight->request.key;
  const EntryPtr reclaimed = TakeBack(key);
  Entries to_release;
  EntryPtr entry;
  {
    MutexLock lock(mutex_);
    if (reclaimed) Reclaim(reclaimed, flight->request.asker, to_release);
    entry = FindResident(key);  // or it became resident while the flight was queued
    if (entry) GiveToWaiters(flight, entry, to_release);
  }
  Release(std::move(to_release));
  return entry;
}

void ModelCache::Impl::Reclaim(const EntryPtr& entry, const Asker& asker, Entries& to_release) {
  Place(entry, to_release);
  ++counters_.reclaims;
  Tell(EventKind::kReclaimed, entry->key, entry->bytes(), {"a workflow still held it", asker});
}

// Ends the flight without a load if the caller would rather have none than an uncached one, or if
// there is no caller: an uncached model that nobody waits for would be read in vain.
bool ModelCache::Impl::Refuse(const FlightPtr& flight, const Room& room) {
  const ModelKey& key = flight->request.key;
  MutexLock lock(mutex_);
  if (room.busy && flight->request.when_busy == WhenBusy::kThrow) {
    flight->refused = true;
    flight->error = std::make_exception_ptr(
        CacheBusy("no room for '" + key.name + "': " + room.refusal +
                  ". Raise the limit, unpin a model, or wait until one is no longer in use"));
  } else if (flight->waiters > 0) {
    return false;
  }
  Tell(EventKind::kNoted, key, flight->request.expected,
       {"not loaded: " + room.refusal, flight->request.asker});
  Finish(flight);
  return true;
}

ModelCache::Impl::Loaded ModelCache::Impl::Load(const LoadRequest& request) {
  Loaded loaded;
  {
    MutexLock lock(mutex_);
    loaded.opened = {WhyAbsent(request.key), request.asker};
  }
  const TimePoint begin = clock_->Now();
  LoadedModel model = request.loader->Load(request.key);
  loaded.opened.ms = Seconds(clock_->Now() - begin).count() * 1000;
  if (model.resident == nullptr)
    throw Error("the loader of '" + request.key.name + "' gave no model");
  loaded.entry = std::make_shared<Entry>(request.key, std::move(model));
  return loaded;
}

// Puts the model into the table if there is room, and takes out the older one of its slot in any
// case: that file is no longer what is asked for.
void ModelCache::Impl::Admit(Loaded& loaded, Entries& to_release) {
  Entry& entry = *loaded.entry;
  const Asker asker = loaded.opened.asker;
  ++counters_.loads;
  Tell(EventKind::kOpened, entry.key, entry.bytes(), std::move(loaded.opened));
  if (closed_) loaded.room = {false, false, "the cache was shut down"};
  if (!limits_.enabled) loaded.room = {false, false, "keep_model_in_memory is off"};
  if (const EntryPtr old = FindSlot(entry.key)) {
    ++counters_.reloads;
    Tell(EventKind::kReloaded, entry.key, entry.bytes(), {"file changed", asker});
    Leave(old, to_release);
  }
  entry.cached = loaded.room.cacheable;
  if (entry.cached) {
    Place(loaded.entry, to_release);
    return;
  }
  ++counters_.served_uncached;
  RememberDeparture(entry.key, "served uncached before");
  Tell(EventKind::kServedUncached, entry.key, entry.bytes(), {loaded.room.refusal, asker});
}

void ModelCache::Impl::Place(const EntryPtr& entry, Entries& to_release) {
  if (const EntryPtr old = FindSlot(entry->key)) Leave(old, to_release);
  entry->state = EntryState::kResident;
  entry->cached = true;
  entry->reported_gone = false;
  entry->id = ++last_id_;
  entry->since = clock_->Now();
  Touch(*entry, true);
  roster_.AddResident(entry);
}

}  // namespace hearth
