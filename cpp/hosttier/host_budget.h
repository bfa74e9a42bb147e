#ifndef HEARTH_HOSTTIER_HOST_BUDGET_H_
#define HEARTH_HOSTTIER_HOST_BUDGET_H_

#include <cstdint>
#include <functional>
#include <optional>

#include "base/mutex.h"

namespace hearth {

struct HostTierLimits {
  std::optional<std::uint64_t> max_bytes;  // mapped by this tier; nullopt: no limit of its own
  std::uint64_t keep_free_bytes = 0;       // of RAM, for ComfyUI and everybody else
};

// RAM that can still be taken, as the system counts it; nullopt: not known, and then nothing is
// refused for lack of it. Cheap, must not throw.
using AvailableBytes = std::function<std::optional<std::uint64_t>()>;

// What the tier may make unreclaimable. The system counts registered pages of a file as available,
// because it does not know that a device holds them; here they are taken off. Thread-safe.
class HostBudget {
 public:
  HostBudget(HostTierLimits limits, AvailableBytes available);

  void SetLimits(const HostTierLimits& limits) HEARTH_EXCLUDES(mutex_);
  HostTierLimits limits() const HEARTH_EXCLUDES(mutex_);

  // How many bytes may still be registered or locked without taking what is to be kept free.
  std::uint64_t Room() const HEARTH_EXCLUDES(mutex_);
  // How many bytes are missing from what is to be kept free.
  std::uint64_t Shortage() const HEARTH_EXCLUDES(mutex_);
  // Takes up to `wanted` of that room; returns how much.
  std::uint64_t TakeRegistered(std::uint64_t wanted) HEARTH_EXCLUDES(mutex_);
  void GiveBackRegistered(std::uint64_t bytes) HEARTH_EXCLUDES(mutex_);
  std::uint64_t registered_bytes() const HEARTH_EXCLUDES(mutex_);

 private:
  std::optional<std::uint64_t> Available() const;
  std::uint64_t RoomWith(std::optional<std::uint64_t> available) const HEARTH_REQUIRES(mutex_);

  mutable Mutex mutex_;
  HostTierLimits limits_ HEARTH_GUARDED_BY(mutex_);
  std::uint64_t registered_ HEARTH_GUARDED_BY(mutex_) = 0;
  const AvailableBytes available_;
};

}  // namespace hearth

#endif  // HEARTH_HOSTTIER_HOST_BUDGET_H_
