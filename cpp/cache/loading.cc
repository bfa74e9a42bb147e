// One flight from claim to end. Everything here runs on the executor's thread.
#include <chrono>
#include <exception>
#include <utility>

#include "base/error.h"
#include "cache/model_cache_impl.h"

namespace hearth {
namespace {

std::string Describe(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    return known.what();
  } catch (...) {
    return "an error that is no std::exception";
  }
}

}  // namespace

void ModelCache::Impl::RunFlight(const FlightPtr& flight) {
  const LoadRequest& request = flight->request;
  try {
    EntryPtr entry = ReclaimLingering(request.key, request.asker);
    if (entry) {
      FinishFlight(flight, entry, nullptr);
      Enforce(entry.get());
      return;
    }
    const Room room = MakeRoom(request);
    if (!room.cacheable && request.when_busy == WhenBusy::kThrow) {
      FinishFlight(flight, nullptr, std::make_exception_ptr(CacheBusy(
                                        "no room for '" + request.key.name + "': " + room.refusal)));
      return;
    }
    entry = Load(request, room);
    Entries replaced;
    {
      MutexLock lock(mutex_);
      replaced = Admit(entry, request);
    }
    Release(std::move(replaced));
    FinishFlight(flight, entry, nullptr);
    if (entry->cached) Enforce(entry.get());
  } catch (...) {
    // Every waiter gets the loader's own exception, whatever it is.
    FailFlight(flight, std::current_exception());
  }
}

EntryPtr ModelCache::Impl::Load(const LoadRequest& request, const Room& room) {
  std::string why_absent;
  {
    MutexLock lock(mutex_);
    why_absent = WhyAbsent(request.key);
  }
  const TimePoint begin = clock_->Now();
  LoadedModel loaded = request.loader->Load(request.key);
  const TimePoint end = clock_->Now();

  auto entry = std::make_shared<Entry>();
  entry->key = request.key;
  entry->resident = std::move(loaded.resident);
  entry->bytes = loaded.bytes;
  entry->since = entry->last_used = end;
  entry->cached = room.cacheable;
  entry->state = room.cacheable ? EntryState::kResident : EntryState::kDeparted;
  const double ms = Seconds(end - begin).count() * 1000;
  Tell(EventKind::kOpened, entry->key, entry->bytes, {std::move(why_absent), request.asker, ms});
  if (!room.cacheable) {
    Tell(EventKind::kServedUncached, entry->key, entry->bytes, {room.refusal, request.asker});
  }
  return entry;
}

// Puts the entry into the table and takes out what it replaces.
ModelCache::Impl::Entries ModelCache::Impl::Admit(const EntryPtr& entry,
                                                  const LoadRequest& request) {
  ++counters_.loads;
  if (entry->cached && closed_) {
    entry->cached = false;
    entry->state = EntryState::kDeparted;
  }
  if (!entry->cached) {
    ++counters_.served_uncached;
    return {};
  }
  Entries replaced;
  const auto old = residents_.find(entry->key);
  if (old != residents_.end()) {
    ++counters_.reloads;
    Tell(EventKind::kReloaded, entry->key, entry->bytes, {"file changed", request.asker});
    replaced.push_back(Depart(old->second, EventKind::kErased, "file changed"));
  }
  Touch(*entry, true);
  residents_.emplace(entry->key, entry);
  return replaced;
}

void ModelCache::Impl::FinishFlight(const FlightPtr& flight, EntryPtr entry,
                                    std::exception_ptr error) {
  Entries unwanted;
  {
    MutexLock lock(mutex_);
    flight->stage = Flight::Stage::kDone;
    flight->error = std::move(error);
    if (entry && flight->waiters > 0) {
      entry->in_use += flight->waiters;
      flight->entry = std::move(entry);
    } else if (entry && entry->state == EntryState::kDeparted) {
      unwanted.push_back(std::move(entry));  // prewarmed without room, and nobody waits
    }
    flights_.erase(flight->request.key);
    flight_done_.NotifyAll();
  }
  Release(std::move(unwanted));
}

void ModelCache::Impl::FailFlight(const FlightPtr& flight, std::exception_ptr error) {
  const ModelKey& key = flight->request.key;
  std::string reason = Describe(error);
  {
    MutexLock lock(mutex_);
    ++counters_.load_failures;
    if (residents_.contains(key)) {
      reason += "; the model loaded before stays";
    } else {
      RememberDeparture(key, "the load before failed");
    }
  }
  Tell(EventKind::kLoadFailed, key, {}, {std::move(reason), flight->request.asker});
  FinishFlight(flight, nullptr, std::move(error));
}

// The lingering model of that key as a resident again, or null. A newer identity that took the slot
// meanwhile stays, and so does an older one: the lingering model is what its workflow asked for.
EntryPtr ModelCache::Impl::ReclaimLingering(const ModelKey& key, const Asker& asker) {
  EntryPtr entry;
  {
    MutexLock lock(mutex_);
    if (closed_ || !limits_.enabled || residents_.contains(key)) return nullptr;
    for (auto it = lingering_.begin(); it != lingering_.end(); ++it) {
      if ((*it)->key != key) continue;
      entry = *it;
      lingering_.erase(it);
      break;
    }
  }
  if (!entry) return nullptr;
  const bool whole = entry->resident->Reclaim();
  MutexLock lock(mutex_);
  if (!whole) {
    lingering_.push_front(entry);  // a part of it is gone; the rest still takes memory
    return nullptr;
  }
  entry->state = EntryState::kResident;
  entry->cached = true;
  entry->since = clock_->Now();
  Touch(*entry, true);
  residents_.emplace(entry->key, entry);
  ++counters_.reclaims;
  Tell(EventKind::kReclaimed, key, entry->bytes, {"a workflow still held it", asker});
  return entry;
}

}  // namespace hearth
