#ifndef HEARTH_RUNTIME_RUNTIME_H_
#define HEARTH_RUNTIME_RUNTIME_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "cache/model_cache.h"
#include "config/config.h"
#include "config/config_reader.h"
#include "device/cuda_host.h"
#include "hosttier/host_tier.h"
#include "runtime/queue_executor.h"

namespace hearth {

// The configuration in force, where it came from, and what was wrong with the last one offered.
struct ConfigState {
  Config config;
  std::string source;
  std::vector<ConfigFault> faults;  // empty: the last text offered is in force
  std::vector<std::string> inert;   // pointers of keys in force that this version does not act on
};

// Everything torch-free of one process: configuration, cache, executor, events. Thread-safe.
class Runtime {
 public:
  Runtime();

  const std::shared_ptr<ModelCache>& cache() const { return cache_; }
  const std::shared_ptr<QueueExecutor>& executor() const { return executor_; }
  const std::shared_ptr<CudaHost>& devices() const { return devices_; }
  const std::shared_ptr<HostTier>& host_tier() const { return host_tier_; }

  // Reads a config and applies it at once: limits, policy, log level. A text with faults changes
  // nothing but the faults shown. `source` is a label for people, never a path. True: in force.
  bool Configure(std::string_view text, const std::string& source);
  ConfigState config_state() const;

  // ComfyUI's own threshold of free RAM, in bytes.
  void SetActiveHeadroom(std::uint64_t bytes);
  // What the system says; the cache takes off what its devices hold.
  HostMemory host_memory() const;

  // Ends loading and reading; releases the residents or leaves them to the end of the process.
  // Idempotent.
  void Shutdown(bool release);

 private:
  // Each part has its own lock, so none of this is done under ours.
  void Apply(const CacheLimits& limits);

  std::shared_ptr<const HostMemoryProbe> probe_;
  std::shared_ptr<QueueExecutor> executor_;
  std::shared_ptr<CudaHost> devices_;
  std::shared_ptr<HostTier> host_tier_;
  std::shared_ptr<ModelCache> cache_;
  mutable Mutex mutex_;
  ConfigState state_ HEARTH_GUARDED_BY(mutex_);
  std::uint64_t active_headroom_ HEARTH_GUARDED_BY(mutex_) = 0;
};

}  // namespace hearth

#endif  // HEARTH_RUNTIME_RUNTIME_H_
