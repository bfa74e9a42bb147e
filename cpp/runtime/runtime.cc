#include "runtime/runtime.h"

#include <optional>
#include <utility>

#include "base/log.h"
#include "cache/eviction_policy.h"
#include "runtime/limits_from_config.h"
#include "runtime/linux_host_memory.h"
#include "runtime/unregistered_memory.h"

namespace hearth {
namespace {

constexpr std::size_t kEventCapacity = 2048;  // a day of switching every minute

std::unique_ptr<EvictionPolicy> PolicyFromConfig(const Config& config) {
  return MakeEvictionPolicy(config.unload.policy, config.unload.idle_seconds);
}

std::shared_ptr<ModelCache> MakeCache(std::shared_ptr<Executor> executor,
                                      std::shared_ptr<const HostMemoryProbe> probe) {
  const Config defaults;
  auto clock = std::make_shared<const SystemClock>();
  ModelCache::Parts parts;
  parts.limits = LimitsFromConfig(defaults, 0);
  parts.policy = PolicyFromConfig(defaults);
  parts.executor = std::move(executor);
  parts.probe = std::move(probe);
  parts.events = std::make_shared<EventRing>(kEventCapacity, clock);
  parts.clock = std::move(clock);
  return std::make_shared<ModelCache>(std::move(parts));
}

HostTierLimits TierLimits(const CacheLimits& limits) {
  return {limits.max_host_bytes, limits.min_free_host_bytes};
}

std::shared_ptr<HostTier> MakeHostTier(std::shared_ptr<const HostMemoryProbe> probe,
                                       std::shared_ptr<HostRegistrar> registrar) {
  HostTier::Parts parts;
  parts.system = std::make_shared<const LinuxSystemCalls>();
  parts.clock = std::make_shared<const SystemClock>();
  parts.registrar = std::move(registrar);
  parts.limits = TierLimits(LimitsFromConfig(Config{}, 0));
  parts.available = [probe = std::move(probe)]() -> std::optional<std::uint64_t> {
    const HostMemory memory = probe->Read();
    if (memory.total == 0) return std::nullopt;
    return memory.available;
  };
  return std::make_shared<HostTier>(std::move(parts));
}

std::shared_ptr<const HostMemoryProbe> MakeCacheProbe(std::shared_ptr<const HostMemoryProbe> probe,
                                                      std::shared_ptr<const HostTier> tier) {
  return std::make_shared<UnregisteredMemory>(
      std::move(probe), [tier = std::move(tier)] { return tier->registered_bytes(); });
}

}  // namespace

Runtime::Runtime()
    : probe_(std::make_shared<LinuxHostMemory>()),
      executor_(std::make_shared<QueueExecutor>()),
      devices_(std::make_shared<CudaHost>()),
      host_tier_(MakeHostTier(probe_, devices_)),
      cache_(MakeCache(executor_, MakeCacheProbe(probe_, host_tier_))) {
  MutexLock lock(mutex_);
  state_.source = "built-in defaults";
}

bool Runtime::Configure(std::string_view text, const std::string& source) {
  ConfigResult result = ParseConfig(text);
  const bool good = result.faults.empty();
  CacheLimits limits;
  std::unique_ptr<EvictionPolicy> policy;
  LogLevel level = LogLevel::kInfo;
  {
    MutexLock lock(mutex_);
    state_.faults = std::move(result.faults);
    if (!good) return false;
    state_.config = std::move(result.config);
    state_.source = source;
    state_.inert = result.inert;
    limits = LimitsFromConfig(state_.config, active_headroom_);
    policy = PolicyFromConfig(state_.config);
    level = LogLevelFromString(state_.config.log.level);
  }
  SetLogLevel(level);
  for (const std::string& pointer : result.inert) {
    LogWarning("config_key_not_acted_on_yet", {{"key", pointer}, {"config", source}});
  }
  // Outside the lock: applying limits may evict, and a release may ask for the config.
  cache_->SetPolicy(std::move(policy));
  Apply(limits);
  return true;
}

void Runtime::Apply(const CacheLimits& limits) {
  cache_->SetLimits(limits);
  host_tier_->SetLimits(TierLimits(limits));
}

ConfigState Runtime::config_state() const {
  MutexLock lock(mutex_);
  return state_;
}

void Runtime::SetActiveHeadroom(std::uint64_t bytes) {
  CacheLimits limits;
  {
    MutexLock lock(mutex_);
    active_headroom_ = bytes;
    limits = LimitsFromConfig(state_.config, active_headroom_);
  }
  Apply(limits);
}

HostMemory Runtime::host_memory() const { return probe_->Read(); }

void Runtime::Shutdown(bool release) {
  cache_->Shutdown(release);
  host_tier_->Shutdown(release);
  devices_->Abandon();
  executor_->Close();
}

}  // namespace hearth
