#ifndef HEARTH_CACHE_MODEL_CACHE_IMPL_H_
#define HEARTH_CACHE_MODEL_CACHE_IMPL_H_

#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/mutex.h"
#include "cache/entry.h"
#include "cache/model_cache.h"

namespace hearth {

// One load under way. Guarded by the cache's lock.
struct Flight {
  enum class Stage { kQueued, kRunning, kDone };
  LoadRequest request;
  Stage stage = Stage::kQueued;
  std::size_t waiters = 0;   // each gets a lease when the load is done
  EntryPtr entry;            // when done and well
  std::exception_ptr error;  // when done and not
};
using FlightPtr = std::shared_ptr<Flight>;

// What was decided before a load.
struct Room {
  bool cacheable = true;
  std::string refusal;  // why not, for people
};

class ModelCache::Impl : public std::enable_shared_from_this<ModelCache::Impl> {
 public:
  explicit Impl(Parts parts);

  // --- requests (model_cache.cc)
  ModelHandle Lookup(const ModelKey& key);
  ModelHandle Acquire(const LoadRequest& request);
  FlightPtr Prewarm(const LoadRequest& request);
  ModelHandle Wait(const FlightPtr& flight);
  ModelHandle Redeem(const FlightPtr& flight);
  bool IsDone(const FlightPtr& flight) const;
  void EndLease(const EntryPtr& entry);
  bool RecordUse(const ModelKey& key, bool strong);
  void UpdateBytes(const ModelKey& key, const TierBytes& bytes);
  void SetPinned(const ModelKey& key, bool pinned);
  void SetLimits(const CacheLimits& limits);
  void SetPolicy(std::unique_ptr<EvictionPolicy> policy);
  void Shutdown(bool release);

  // --- loading (loading.cc)
  void RunFlight(const FlightPtr& flight);

  // --- room (room.cc)
  Room MakeRoom(const LoadRequest& request);
  void Enforce(const Entry* keep);
  TierBytes Trim(const Need& need, const std::string& reason);
  std::optional<double> SecondsToNextExpiry() const;

  // --- departures (departures.cc)
  std::size_t EraseWhere(const std::function<bool(const ModelKey&)>& matches,
                         const std::string& reason);
  void LingeringGone(const ModelKey& key);
  std::size_t FreeLingering(const std::optional<ModelKey>& key);

  // --- reports (reports.cc)
  CacheStats Stats() const;
  std::vector<ResidentView> Residents() const;
  CacheLimits limits() const;
  EventRing& events() const { return *events_; }

 private:
  using Entries = std::vector<EntryPtr>;
  using SlotMap = std::unordered_map<ModelKey, EntryPtr, SlotHash, SlotEqual>;

  // What an event is about, beyond its kind and entry.
  struct Note {
    std::string reason;
    Asker asker;
    double ms = 0;
  };
  void Tell(EventKind kind, const ModelKey& key, const TierBytes& bytes, Note note) const;

  // The resident of exactly that key, identity included, or null.
  EntryPtr FindResident(const ModelKey& key) const HEARTH_REQUIRES(mutex_);
  void Touch(Entry& entry, bool strong) HEARTH_REQUIRES(mutex_);
  ModelHandle Lease(const EntryPtr& entry, bool was_hit) HEARTH_REQUIRES(mutex_);
  ModelHandle HitLocked(const LoadRequest& request) HEARTH_REQUIRES(mutex_);
  FlightPtr JoinFlight(const LoadRequest& request, bool& is_new) HEARTH_REQUIRES(mutex_);
  bool ClaimFlight(const FlightPtr& flight) HEARTH_REQUIRES(mutex_);
  // Posts the flight, or fails it when nobody will ever run it.
  void LaunchFlight(const FlightPtr& flight);
  void WaitUntilDone(const FlightPtr& flight) HEARTH_REQUIRES(mutex_);
  ModelHandle Land(const FlightPtr& flight) HEARTH_REQUIRES(mutex_);

  EntryPtr Load(const LoadRequest& request, const Room& room);
  Entries Admit(const EntryPtr& entry, const LoadRequest& request) HEARTH_REQUIRES(mutex_);
  void FinishFlight(const FlightPtr& flight, EntryPtr entry, std::exception_ptr error);
  void FailFlight(const FlightPtr& flight, std::exception_ptr error);
  EntryPtr ReclaimLingering(const ModelKey& key, const Asker& asker);

  TierBytes SumResident(const Entry* except) const HEARTH_REQUIRES(mutex_);
  TierBytes SumLingering() const HEARTH_REQUIRES(mutex_);
  std::size_t CountModels(const Entry* except) const HEARTH_REQUIRES(mutex_);
  Need HardNeed(const ModelKey* incoming, const TierBytes& expected, const Entry* except) const
      HEARTH_REQUIRES(mutex_);
  std::string LimitReason(const Need& need) const HEARTH_REQUIRES(mutex_);
  std::string WhoIsInTheWay(const Need& need) const HEARTH_REQUIRES(mutex_);
  // Departs the victims the policy names; nobody when `partial` is false and they do not suffice.
  Entries EvictFor(const Need& need, const std::string& reason, bool partial, const Entry* keep)
      HEARTH_REQUIRES(mutex_);
  std::uint64_t RamShortage(std::uint64_t wanted) const;
  void EaseRamShortage(std::uint64_t wanted, const std::string& reason, const Entry* keep);
  bool LingeringIsInTheWay(const ModelKey* incoming, const TierBytes& expected) const;
  Room Decide(const LoadRequest& request, Entries& victims) HEARTH_REQUIRES(mutex_);
  Entries EvictExpired(const Entry* keep) HEARTH_REQUIRES(mutex_);

  // Takes the entry out of the table. What it returns must go to Release, outside the lock.
  EntryPtr Depart(const EntryPtr& entry, EventKind kind, const std::string& reason)
      HEARTH_REQUIRES(mutex_);
  void RememberDeparture(const ModelKey& key, std::string reason) HEARTH_REQUIRES(mutex_);
  std::string WhyAbsent(const ModelKey& key) const HEARTH_REQUIRES(mutex_);
  // Gives their memory back, on the executor. Empty pointers are passed over.
  void Release(Entries entries) HEARTH_EXCLUDES(mutex_);
  void ReleaseNow(const EntryPtr& entry) HEARTH_EXCLUDES(mutex_);
  std::size_t FreeLingeringNow(const std::optional<ModelKey>& key);

  const std::shared_ptr<Executor> executor_;
  const std::shared_ptr<const Clock> clock_;
  const std::shared_ptr<const HostMemoryProbe> probe_;
  const std::shared_ptr<EventRing> events_;

  mutable Mutex mutex_;
  CondVar flight_done_;
  CacheLimits limits_ HEARTH_GUARDED_BY(mutex_);
  std::shared_ptr<const EvictionPolicy> policy_ HEARTH_GUARDED_BY(mutex_);
  SlotMap residents_ HEARTH_GUARDED_BY(mutex_);
  std::list<EntryPtr> lingering_ HEARTH_GUARDED_BY(mutex_);  // oldest first
  std::unordered_map<ModelKey, FlightPtr, ModelKeyHash> flights_ HEARTH_GUARDED_BY(mutex_);
  std::unordered_set<ModelKey, SlotHash, SlotEqual> pinned_ HEARTH_GUARDED_BY(mutex_);
  std::unordered_map<ModelKey, std::string, SlotHash, SlotEqual> departures_
      HEARTH_GUARDED_BY(mutex_);
  CacheStats counters_ HEARTH_GUARDED_BY(mutex_);  // only what is counted, not what is summed up
  bool closed_ HEARTH_GUARDED_BY(mutex_) = false;
};

class ModelHandle::Lease {
 public:
  Lease(std::shared_ptr<ModelCache::Impl> cache, EntryPtr entry, bool was_hit)
      : cache_(std::move(cache)), entry_(std::move(entry)), was_hit_(was_hit) {}
  ~Lease() { cache_->EndLease(entry_); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  const Entry& entry() const { return *entry_; }
  bool was_hit() const { return was_hit_; }

 private:
  std::shared_ptr<ModelCache::Impl> cache_;  // a handle may outlive the cache
  EntryPtr entry_;
  bool was_hit_;
};

class LoadTicket::State {
 public:
  State(std::shared_ptr<ModelCache::Impl> cache, FlightPtr flight)
      : cache_(std::move(cache)), flight_(std::move(flight)) {}
  const std::shared_ptr<ModelCache::Impl>& cache() const { return cache_; }
  const FlightPtr& flight() const { return flight_; }

 private:
  std::shared_ptr<ModelCache::Impl> cache_;
  FlightPtr flight_;
};

}  // namespace hearth

#endif  // HEARTH_CACHE_MODEL_CACHE_IMPL_H_
