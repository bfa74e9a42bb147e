#include "keeper/lock_plan.h"

#include <algorithm>

#include "base/bytes.h"

namespace hearth {
namespace {

constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();

}  // namespace

std::vector<std::uint64_t> PlanLocks(const std::vector<PlannedFile>& files,
                                     const LockLimits& limits) {
  std::uint64_t in_ram = limits.max_bytes.value_or(kAll);
  std::uint64_t lockable = limits.most_locked;
  std::vector<std::uint64_t> plan;
  plan.reserve(files.size());
  for (const PlannedFile& file : files) {
    const std::uint64_t fits = std::min(file.size, in_ram);
    const std::uint64_t locked = file.is_registered ? 0 : std::min(fits, lockable);
    in_ram -= fits;
    lockable -= locked;
    plan.push_back(locked);
  }
  return plan;
}

std::uint64_t MostLocked(std::uint64_t locked_bytes, const FreeRam& ram) {
  if (!ram.available_bytes) return kAll;
  const std::uint64_t available = *ram.available_bytes;
  if (available < ram.keep_free_bytes) {
    const std::uint64_t missing = ram.keep_free_bytes - available;
    return locked_bytes > missing ? locked_bytes - missing : 0;
  }
  const std::uint64_t free = available - ram.keep_free_bytes;
  const std::uint64_t more = free > ram.margin_bytes ? free - ram.margin_bytes : 0;
  return CheckedAdd(locked_bytes, more).value_or(kAll);
}

}  // namespace hearth
