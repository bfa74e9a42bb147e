#ifndef HEARTH_CACHE_MODEL_CACHE_IMPL_H_
#define HEARTH_CACHE_MODEL_CACHE_IMPL_H_

#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "cache/entry.h"
#include "cache/model_cache.h"
#include "cache/roster.h"

namespace hearth {

// One load under way. `request` never changes; all else is guarded by the cache's lock.
struct Flight {
  enum class Stage { kQueued, kRunning, kDone };
  LoadRequest request;
  Stage stage = Stage::kQueued;
  std::thread::id runner;    // once it is running
  std::size_t waiters = 0;   // each gets a lease when the load is done
  EntryPtr entry;            // when done, well, and waited for
  std::exception_ptr error;  // when done and not well
  bool refused = false;      // the error is CacheBusy: there was no room, and nothing was loaded
};
using FlightPtr = std::shared_ptr<Flight>;

// Whether the limits have room for a model, and why not.
struct Room {
  bool cacheable = true;
  bool busy = false;    // a limit stands against it, not just the setting that turns the cache off
  std::string refusal;  // for people
};

// Whom room is made for. Without a key nobody joins, and the limits are applied to who is there.
struct Guest {
  const ModelKey* key = nullptr;
  TierBytes bytes;
  EntryPtr keep;  // must not go, besides those who never must
};

class ModelCache::Impl : public std::enable_shared_from_this<ModelCache::Impl> {
 public:
  explicit Impl(Parts parts);

  // --- requests (model_cache.cc)
  ModelHandle Lookup(const ModelKey& key);
  ModelHandle Acquire(const LoadRequest& request);
  FlightPtr Prewarm(const LoadRequest& request);
  ModelHandle Redeem(const FlightPtr& flight);
  bool IsDone(const FlightPtr& flight) const;
  void EndLease(const EntryPtr& entry);
  bool RecordUse(const ModelKey& key, bool strong);
  void UpdateBytes(const ModelKey& key, const TierBytes& bytes);
  void SetPinned(const ModelKey& key, bool pinned);
  void KeepAlive(const ModelKey& key, std::optional<double> seconds);
  void SetLimits(const CacheLimits& limits);
  void SetPolicy(std::unique_ptr<EvictionPolicy> policy);
  void Shutdown(bool release);

  // --- room (room.cc)
  void Enforce();
  TierBytes Trim(const Need& need, const std::string& reason);
  std::optional<double> SecondsToNextExpiry() const;

  // --- departures (departures.cc)
  std::size_t EraseWhere(const std::function<bool(const ModelKey&)>& matches,
                         const std::string& reason);

  // --- lingering (lingering.cc)
  void LingeringGone(const ModelKey& key);
  std::size_t FreeLingering(const std::optional<ModelKey>& key);

  // --- reports (reports.cc)
  CacheStats Stats() const;
  std::vector<ResidentView> Residents() const;
  CacheLimits limits() const;
  EventRing& events() const { return *events_; }

 private:
  class PostedFlight;   // flights.cc
  class PostedRelease;  // departures.cc
  enum class Step { kDone, kRelease, kDemote, kAskLingering };
  struct Tried {
    bool evicted = false;
    bool asked_lingering = false;
  };
  // What an event is about, beyond its kind and model.
  struct Note {
    std::string reason;
    Asker asker;
    double ms = 0;
  };
  struct Loaded {
    EntryPtr entry;
    Note opened;
    Room room;
  };
  using Entries = std::vector<EntryPtr>;
  // What a round of making room has decided, to be done without the lock.
  struct Demotion {
    EntryPtr entry;
    TierBytes before;
    std::string reason;
  };
  using Demotions = std::vector<Demotion>;
  struct Leaving {
    Entries to_release;
    Demotions to_demote;
  };

  // --- flights (flights.cc): from the first request of a key until its load is done
  FlightPtr JoinFlight(const LoadRequest& request, bool& is_new) HEARTH_REQUIRES(mutex_);
  bool ClaimFlight(const FlightPtr& flight) HEARTH_REQUIRES(mutex_);
  bool SomebodyElseLoads() const HEARTH_REQUIRES(mutex_);
  void Launch(const FlightPtr& flight) HEARTH_EXCLUDES(mutex_);
  // REQUIRES: the caller is counted in flight->waiters.
  void Await(const FlightPtr& flight) HEARTH_EXCLUDES(mutex_);
  ModelHandle Land(const FlightPtr& flight) HEARTH_REQUIRES(mutex_);
  void GiveToWaiters(const FlightPtr& flight, const EntryPtr& entry, Entries& to_release)
      HEARTH_REQUIRES(mutex_);
  void Finish(const FlightPtr& flight) HEARTH_REQUIRES(mutex_);
  void Fail(const FlightPtr& flight, const std::exception_ptr& error) HEARTH_EXCLUDES(mutex_);
  void Cancel(const FlightPtr& flight) HEARTH_EXCLUDES(mutex_);

  // --- loading (loading.cc): what a flight does, on the executor's thread
  void RunFlight(const FlightPtr& flight) HEARTH_EXCLUDES(mutex_);
  EntryPtr RunGuarded(const FlightPtr& flight) HEARTH_EXCLUDES(mutex_);
  EntryPtr FindOrReclaim(const FlightPtr& flight) HEARTH_EXCLUDES(mutex_);
  bool Refuse(const FlightPtr& flight, const Room& room) HEARTH_EXCLUDES(mutex_);
  Loaded Load(const LoadRequest& request) HEARTH_EXCLUDES(mutex_);
  void Admit(Loaded& loaded, Entries& to_release) HEARTH_REQUIRES(mutex_);
  void Reclaim(const EntryPtr& entry, const Asker& asker, Entries& to_release)
      HEARTH_REQUIRES(mutex_);
  void Place(const EntryPtr& entry, Entries& to_release) HEARTH_REQUIRES(mutex_);

  // --- room (room.cc)
  bool CanGo(const Entry& entry) const HEARTH_REQUIRES(mutex_);
  Need LimitsNeed(const Guest& guest) const HEARTH_REQUIRES(mutex_);
  bool LingeringHelps(const Guest& guest, const Need& need) const HEARTH_REQUIRES(mutex_);
  Entries Choose(const Guest& guest, const Need& need, bool partial) const HEARTH_REQUIRES(mutex_);
  void Evict(const Entries& victims, const std::string& reason, Entries& to_release)
      HEARTH_REQUIRES(mutex_);
  void MakeRoom(const Guest& guest, const Need& need, Leaving& leaving) HEARTH_REQUIRES(mutex_);
  Room FitLimits(const Guest& guest) HEARTH_EXCLUDES(mutex_);
  Step NextStep(const Guest& guest, const Tried& tried, Leaving& leaving, Room& room)
      HEARTH_REQUIRES(mutex_);
  bool ClaimExcess() HEARTH_REQUIRES(mutex_);
  void EndExcessSoon() HEARTH_EXCLUDES(mutex_);
  std::uint64_t RamShortage(std::uint64_t wanted) const HEARTH_EXCLUDES(mutex_);
  void EaseRamShortage(const Guest& guest, const std::string& reason) HEARTH_EXCLUDES(mutex_);

  // --- idle time (idle.cc)
  std::optional<double> OwnIdleSeconds(const ModelKey& key) const HEARTH_REQUIRES(mutex_);
  // How long the entry may be idle; nullopt: as long as it likes.
  std::optional<double> IdleSeconds(const Entry& entry) const HEARTH_REQUIRES(mutex_);
  // For how much longer it may stay, and may stay on its device; nullopt: as long as it likes.
  std::optional<double> SecondsLeft(const Entry& entry, TimePoint now) const
      HEARTH_REQUIRES(mutex_);
  std::optional<double> DeviceSecondsLeft(const Entry& entry, TimePoint now) const
      HEARTH_REQUIRES(mutex_);
  void EndIdleStays(Leaving& leaving) HEARTH_REQUIRES(mutex_);

  // --- words for people (room_words.cc)
  std::string LimitReason(const Need& need) const HEARTH_REQUIRES(mutex_);
  std::string Refusal(const Guest& guest, const Need& need) const HEARTH_REQUIRES(mutex_);

  // --- departures (departures.cc)
  void Leave(const EntryPtr& entry, Entries& to_release) HEARTH_REQUIRES(mutex_);
  void Depart(const EntryPtr& entry, EventKind kind, const std::string& reason, Entries& to_release)
      HEARTH_REQUIRES(mutex_);
  void StartRelease(const EntryPtr& entry, Entries& to_release) HEARTH_REQUIRES(mutex_);
  void RememberDeparture(const ModelKey& key, std::string reason) HEARTH_REQUIRES(mutex_);
  std::string WhyAbsent(const ModelKey& key) const HEARTH_REQUIRES(mutex_);
  // Gives the memory back, on the executor. What StartRelease() collected must come here.
  void Release(Entries entries) HEARTH_EXCLUDES(mutex_);
  void ReleaseNow(const EntryPtr& entry) HEARTH_EXCLUDES(mutex_);

  // --- demotion (demotion.cc)
  void StartDemotion(const Entries& victims, const std::string& reason, Demotions& to_demote)
      HEARTH_REQUIRES(mutex_);
  // Gives the device memory back, on the executor. What StartDemotion() collected must come here.
  void Demote(Demotions demotions) HEARTH_EXCLUDES(mutex_);
  void DemoteNow(const Demotion& demotion) HEARTH_EXCLUDES(mutex_);
  bool BeginDemotion(const Demotion& demotion) HEARTH_REQUIRES(mutex_);

  // --- lingering (lingering.cc)
  void StartLingering(const EntryPtr& entry, const TierBytes& left) HEARTH_REQUIRES(mutex_);
  EntryPtr TakeBack(const ModelKey& key) HEARTH_EXCLUDES(mutex_);
  std::size_t FreeLingeringNow(const std::optional<ModelKey>& key) HEARTH_EXCLUDES(mutex_);

  // --- reports (reports.cc)
  ResidentView View(const Entry& entry, TimePoint now) const HEARTH_REQUIRES(mutex_);

  // The resident of that slot, or null; and the one of exactly that key, identity included.
  EntryPtr FindSlot(const ModelKey& key) const HEARTH_REQUIRES(mutex_);
  EntryPtr FindResident(const ModelKey& key) const HEARTH_REQUIRES(mutex_);
  void Touch(Entry& entry, bool strong) HEARTH_REQUIRES(mutex_);
  ModelHandle Lease(const EntryPtr& entry, bool was_hit) HEARTH_REQUIRES(mutex_);
  ModelHandle Hit(const LoadRequest& request) HEARTH_REQUIRES(mutex_);
  void Tell(EventKind kind, const ModelKey& key, const TierBytes& bytes, Note note) const;

  const std::shared_ptr<Executor> executor_;
  const std::shared_ptr<const Clock> clock_;
  const std::shared_ptr<const HostMemoryProbe> probe_;
  const std::shared_ptr<EventRing> events_;

  mutable Mutex mutex_;
  CondVar flight_done_;
  CacheLimits limits_ HEARTH_GUARDED_BY(mutex_);
  std::shared_ptr<const EvictionPolicy> policy_ HEARTH_GUARDED_BY(mutex_);
  Roster roster_ HEARTH_GUARDED_BY(mutex_);
  std::list<EntryPtr> releasing_ HEARTH_GUARDED_BY(mutex_);
  std::unordered_map<ModelKey, FlightPtr, ModelKeyHash> flights_ HEARTH_GUARDED_BY(mutex_);
  std::unordered_set<ModelKey, SlotHash, SlotEqual> pinned_ HEARTH_GUARDED_BY(mutex_);
  std::unordered_map<ModelKey, double, SlotHash, SlotEqual> keep_alive_ HEARTH_GUARDED_BY(mutex_);
  std::unordered_map<ModelKey, std::string, SlotHash, SlotEqual> departures_
      HEARTH_GUARDED_BY(mutex_);
  CacheStats counters_ HEARTH_GUARDED_BY(mutex_);  // only what is counted, not what is summed up
  std::uint64_t last_id_ HEARTH_GUARDED_BY(mutex_) = 0;
  std::uint64_t last_use_ HEARTH_GUARDED_BY(mutex_) = 0;
  bool excess_claimed_ HEARTH_GUARDED_BY(mutex_) = false;
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
