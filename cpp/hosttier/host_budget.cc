#include "hosttier/host_budget.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace hearth {

HostBudget::HostBudget(HostTierLimits limits, AvailableBytes available)
    : limits_(limits), available_(std::move(available)) {}

void HostBudget::SetLimits(const HostTierLimits& limits) {
  MutexLock lock(mutex_);
  limits_ = limits;
}

HostTierLimits HostBudget::limits() const {
  MutexLock lock(mutex_);
  return limits_;
}

std::uint64_t HostBudget::Room() const {
  const std::optional<std::uint64_t> available = Available();
  MutexLock lock(mutex_);
  return RoomWith(available);
}

std::uint64_t HostBudget::Shortage() const {
  const std::optional<std::uint64_t> available = Available();
  if (!available) return 0;
  MutexLock lock(mutex_);
  const std::uint64_t taken = registered_ + limits_.keep_free_bytes;
  return taken > *available ? taken - *available : 0;
}

std::uint64_t HostBudget::TakeRegistered(std::uint64_t wanted) {
  const std::optional<std::uint64_t> available = Available();
  MutexLock lock(mutex_);
  const std::uint64_t taken = std::min(wanted, RoomWith(available));
  registered_ += taken;
  return taken;
}

std::optional<std::uint64_t> HostBudget::Available() const {
  return available_ ? available_() : std::nullopt;
}

std::uint64_t HostBudget::RoomWith(std::optional<std::uint64_t> available) const {
  if (!available) return std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t taken = registered_ + limits_.keep_free_bytes;
  return *available > taken ? *available - taken : 0;
}

void HostBudget::GiveBackRegistered(std::uint64_t bytes) {
  MutexLock lock(mutex_);
  registered_ -= std::min(registered_, bytes);
}

std::uint64_t HostBudget::registered_bytes() const {
  MutexLock lock(mutex_);
  return registered_;
}

}  // namespace hearth
