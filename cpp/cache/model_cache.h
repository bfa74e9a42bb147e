#ifndef HEARTH_CACHE_MODEL_CACHE_H_
#define HEARTH_CACHE_MODEL_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "cache/cache_event.h"
#include "cache/event_ring.h"
#include "cache/eviction_policy.h"
#include "cache/host_memory_probe.h"
#include "model/model_key.h"
#include "model/model_loader.h"
#include "model/resident.h"

namespace hearth {

// What may stay. `nullopt` is "no limit of this sort".
struct CacheLimits {
  bool enabled = true;                          // false: everything is served uncached
  std::optional<std::size_t> max_models;        // checkpoints and diffusion models together
  std::optional<std::uint64_t> max_host_bytes;  // residents and lingering together
  std::optional<std::uint64_t> max_device_bytes;
  std::uint64_t min_free_host_bytes = 0;      // evict before a load would leave less than this
  std::optional<double> idle_seconds;         // evict what was not used for so long
  std::optional<double> device_idle_seconds;  // demote what was not used for so long
};

enum class WhenBusy { kServeUncached, kThrow };

struct LoadRequest {
  ModelKey key;
  std::shared_ptr<ModelLoader> loader;
  TierBytes expected;  // what the load will take, for making room before it
  Asker asker;
  WhenBusy when_busy = WhenBusy::kServeUncached;
};

// Keeps one model alive and out of eviction's reach. Move-only; empty after a miss or a move. May
// be destroyed on any thread and may outlive the cache.
class ModelHandle {
 public:
  ModelHandle() = default;
  explicit operator bool() const noexcept { return lease_ != nullptr; }
  Resident& operator*() const noexcept;   // REQUIRES: *this is not empty
  Resident* operator->() const noexcept;  // REQUIRES: *this is not empty
  const ModelKey& key() const noexcept;   // REQUIRES: *this is not empty
  bool cached() const noexcept;           // false: served uncached, goes with this handle
  bool was_hit() const noexcept;          // true: no load was needed for this handle

 private:
  friend class ModelCache;
  class Lease;
  struct LeaseDeleter {
    void operator()(Lease* lease) const noexcept;
  };
  explicit ModelHandle(std::unique_ptr<Lease, LeaseDeleter> lease) : lease_(std::move(lease)) {}
  std::unique_ptr<Lease, LeaseDeleter> lease_;
};

// A load under way, shared by everybody who asked for the same key.
class LoadTicket {
 public:
  bool IsReady() const noexcept;
  // Blocks; does the load itself when called on the executor's thread. Throws what the load threw.
  ModelHandle Wait() const;

 private:
  friend class ModelCache;
  class State;
  explicit LoadTicket(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

struct ResidentView {
  ModelKey key;
  TierBytes bytes;
  double idle_seconds = 0;
  double resident_seconds = 0;
  std::uint64_t uses = 0;
  std::size_t in_use = 0;  // handles alive
  bool pinned = false;
  std::optional<double> keep_alive_seconds;  // its own idle time, see KeepAlive
  bool lingering = false;                    // left the cache; bytes are what is still taken
};

struct CacheStats {
  std::uint64_t hits = 0, misses = 0, loads = 0, load_failures = 0, evictions = 0, erasures = 0,
                demotions = 0, reloads = 0, served_uncached = 0, reclaims = 0, busy = 0;
  std::size_t resident = 0, resident_models = 0, in_use = 0, pinned = 0, lingering = 0, loading = 0;
  TierBytes resident_bytes, lingering_bytes;
};

// Keeps loaded models so that a second request pays no load.
//
// Memory of a device is given back by demoting: the victim stays resident, on its host tier. One
// without a tier below is evicted instead.
//
// Room is made before a load: victims of the policy first, then workflows are asked to let go of
// what lingers. A model that does not fit all the same is served uncached, and nobody goes for it.
// Free RAM is eased in the same way but refuses nobody.
//
// Thread-safe. Loads and releases run on the given Executor, at most one load per key at a time,
// and never under the cache's lock; nor is the lock held across a free or a log call. A failed load
// is not cached. A key whose slot is resident with another identity is a changed file: the new
// model is loaded first and the old one dropped only then, so a bad file costs nothing.
class ModelCache {
 public:
  struct Parts {
    CacheLimits limits;
    std::unique_ptr<EvictionPolicy> policy;        // never null
    std::shared_ptr<Executor> executor;            // never null
    std::shared_ptr<const Clock> clock;            // never null
    std::shared_ptr<const HostMemoryProbe> probe;  // null: free RAM is not looked at
    std::shared_ptr<EventRing> events;             // never null
  };
  explicit ModelCache(Parts parts);
  ~ModelCache();  // as Shutdown(true)
  ModelCache(const ModelCache&) = delete;
  ModelCache& operator=(const ModelCache&) = delete;

  // The resident model, or an empty handle. Never loads, never waits for a load. A strong use.
  [[nodiscard]] ModelHandle Lookup(const ModelKey& key);
  // The model, loaded first if absent; reclaimed if it lingers. Throws what the loader throws,
  // CacheBusy if the request asks for it (and the load has not begun), CacheClosed after Shutdown
  // or when the executor will run no more jobs, Error when a loader asks for what it is loading.
  [[nodiscard]] ModelHandle Acquire(const LoadRequest& request);
  // Starts the load that Acquire would do. The model becomes resident whether or not anybody waits;
  // when there is no room for it and nobody waits, nothing is read.
  LoadTicket Prewarm(const LoadRequest& request);

  // Records work done with a resident (strong) or a question about it (weak: renews its idle time,
  // not its use count). False when the key is neither resident nor lingering. A strong use of a
  // lingering model takes it back (executor thread only; elsewhere it stays lingering).
  bool RecordUse(const ModelKey& key, bool strong);
  // Says where the bytes of a resident or lingering model are now. Limits are applied by Enforce.
  void UpdateBytes(const ModelKey& key, const TierBytes& bytes);

  // A pinned slot is never evicted. Pinning does not load and holds for the slot, present or not.
  // Where a limit is exceeded because a model was pinned or in use, the excess goes in a job of the
  // executor once the pin or the last handle has ended; after a pin, so does what was idle for too
  // long or what free RAM has become too short for.
  void Pin(const ModelKey& key);
  void Unpin(const ModelKey& key);
  // Gives the slot an idle time of its own in place of the limits' idle_seconds, longer or shorter;
  // nullopt: as the limits say. Holds for the slot, present or not. The limits on count and bytes
  // do not look at it, the policy "idle" does. Throws Error unless `seconds` is above zero.
  void KeepAlive(const ModelKey& key, std::optional<double> seconds);
  // Drops the key at once, pinned or in use; bytes go with the last handle. False when it was not
  // resident.
  bool Erase(const ModelKey& key, const std::string& reason);
  // Drops every resident of that name, pinned ones too; returns how many.
  std::size_t EraseByName(const std::string& name, const std::string& reason);
  // Evicts idle, unpinned models until `host_bytes` and `device_bytes` are free or nobody is left;
  // for device bytes alone it demotes. Returns the bytes given up.
  TierBytes Trim(std::uint64_t host_bytes, std::uint64_t device_bytes, const std::string& reason);
  // Applies every limit, idle time included, now. Cheap when there is nothing to do.
  void Enforce();
  // When Enforce() will next have something to do because of idle time; nullopt: never.
  std::optional<double> SecondsToNextExpiry() const;

  // The last outside holder of a lingering model let go (reported by whoever watches it). Of
  // several generations of a key that linger, the oldest goes.
  void LingeringGone(const ModelKey& key);
  // Asks the outside holders of that key, or of every lingering model, to let go. Returns how many
  // are gone. Runs on the executor: elsewhere it is posted and the answer is 0.
  std::size_t FreeLingering(const std::optional<ModelKey>& key);

  // Applied at once. Turning the cache off drops every resident, pinned or in use, as Erase does.
  void SetLimits(const CacheLimits& limits);
  void SetPolicy(std::unique_ptr<EvictionPolicy> policy);
  CacheLimits limits() const;
  CacheStats Stats() const;
  std::vector<ResidentView> Residents() const;  // resident first, then lingering; stable order
  EventRing& events() const;

  // Ends it: waits for a running load, fails queued ones, refuses further ones. `release` false
  // leaves the residents to the end of the process (they are leaked on purpose). Only the first
  // call counts.
  void Shutdown(bool release);

 private:
  friend class ModelHandle;
  friend class LoadTicket;
  class Impl;
  std::shared_ptr<Impl> impl_;  // shared with leases, so that they may outlive *this
};

}  // namespace hearth

#endif  // HEARTH_CACHE_MODEL_CACHE_H_
