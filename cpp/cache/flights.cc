// Flights: how concurrent requests of one key become one load, and how each gets its share of it.
#include <algorithm>
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

// A flight as a job of the executor. A job that will never run must not leave its waiters waiting:
// when the executor refuses it or drops it, it is destroyed, and then the flight is called off.
class ModelCache::Impl::PostedFlight {
 public:
  PostedFlight(std::shared_ptr<Impl> cache, FlightPtr flight)
      : cache_(std::move(cache)), flight_(std::move(flight)) {}
  ~PostedFlight() {
    if (Claim()) cache_->Cancel(flight_);
  }
  PostedFlight(const PostedFlight&) = delete;
  PostedFlight& operator=(const PostedFlight&) = delete;

  // Does nothing when the executor's thread took the flight over meanwhile.
  void Run() {
    if (Claim()) cache_->RunFlight(flight_);
  }

 private:
  bool Claim() {
    MutexLock lock(cache_->mutex_);
    return cache_->ClaimFlight(flight_);
  }

  const std::shared_ptr<Impl> cache_;
  const FlightPtr flight_;
};

FlightPtr ModelCache::Impl::JoinFlight(const LoadRequest& request, bool& is_new) {
  FlightPtr& flight = flights_[request.key];
  is_new = flight == nullptr;
  if (is_new) {
    flight = std::make_shared<Flight>();
    flight->request = request;
  }
  return flight;
}

// True for exactly one caller, who must then end the flight.
bool ModelCache::Impl::ClaimFlight(const FlightPtr& flight) {
  if (flight->stage != Flight::Stage::kQueued) return false;
  flight->stage = Flight::Stage::kRunning;
  flight->runner = std::this_thread::get_id();
  return true;
}

bool ModelCache::Impl::SomebodyElseLoads() const {
  const std::thread::id me = std::this_thread::get_id();
  return std::any_of(flights_.begin(), flights_.end(), [me](const auto& item) {
    return item.second->stage == Flight::Stage::kRunning && item.second->runner != me;
  });
}

void ModelCache::Impl::Launch(const FlightPtr& flight) {
  executor_->Post(
      [job = std::make_shared<PostedFlight>(shared_from_this(), flight)] { job->Run(); });
}

void ModelCache::Impl::Await(const FlightPtr& flight) {
  const bool on_executor = executor_->IsCurrent();
  bool mine = false;
  {
    MutexLock lock(mutex_);
    // The posted job waits for this thread, so this thread must not wait for it.
    mine = on_executor && ClaimFlight(flight);
    const bool running = flight->stage == Flight::Stage::kRunning;
    if (!mine && running && flight->runner == std::this_thread::get_id()) {
      --flight->waiters;
      throw Error("the loader of '" + flight->request.key.name +
                  "' asked for the very model it is loading");
    }
  }
  if (mine) RunFlight(flight);
  MutexLock lock(mutex_);
  while (flight->stage != Flight::Stage::kDone) flight_done_.Wait(mutex_);
}

ModelHandle ModelCache::Impl::Land(const FlightPtr& flight) {
  if (flight->error) std::rethrow_exception(flight->error);
  // GiveToWaiters counted this waiter as a use already, so that nobody evicts what he waited for.
  ModelHandle handle = Lease(flight->entry, false);
  --flight->entry->in_use;
  if (--flight->waiters == 0) flight->entry.reset();  // a ticket may outlive the model
  return handle;
}

void ModelCache::Impl::GiveToWaiters(const FlightPtr& flight, const EntryPtr& entry,
                                     Entries& to_release) {
  if (flight->waiters > 0) {
    entry->in_use += flight->waiters;
    flight->entry = entry;
  } else if (entry->state == EntryState::kDeparted) {
    StartRelease(entry, to_release);  // prewarmed, not cacheable after all, and nobody waits
  }
  Finish(flight);
}

void ModelCache::Impl::Finish(const FlightPtr& flight) {
  flight->stage = Flight::Stage::kDone;
  flights_.erase(flight->request.key);
  flight_done_.NotifyAll();
}

void ModelCache::Impl::Fail(const FlightPtr& flight, const std::exception_ptr& error) {
  const ModelKey& key = flight->request.key;
  std::string reason = Describe(error);
  MutexLock lock(mutex_);
  ++counters_.load_failures;
  if (FindSlot(key)) {
    reason += " (the model loaded before stays)";
  } else {
    RememberDeparture(key, "load failed before");
  }
  Tell(EventKind::kLoadFailed, key, {}, {std::move(reason), flight->request.asker});
  flight->error = error;
  Finish(flight);
}

void ModelCache::Impl::Cancel(const FlightPtr& flight) {
  const ModelKey& key = flight->request.key;
  const std::string reason =
      "hearth's model cache was shut down before '" + key.name + "' was loaded";
  const auto error = std::make_exception_ptr(CacheClosed(reason));
  MutexLock lock(mutex_);
  Tell(EventKind::kLoadFailed, key, {}, {reason, flight->request.asker});
  flight->error = error;
  Finish(flight);
}

}  // namespace hearth
