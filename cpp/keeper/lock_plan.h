#ifndef HEARTH_KEEPER_LOCK_PLAN_H_
#define HEARTH_KEEPER_LOCK_PLAN_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace hearth {

struct PlannedFile {
  std::uint64_t size = 0;
  bool is_registered = false;  // a ComfyUI has made it unreclaimable already
};

struct LockLimits {
  std::optional<std::uint64_t> max_bytes;  // of all files, registered ones included; nullopt: none
  std::uint64_t most_locked = std::numeric_limits<std::uint64_t>::max();  // of this process
};

// How many bytes of each file, from its beginning on, are to be locked. `files`: the most wanted
// first; that is the order in which room is given. Pure.
std::vector<std::uint64_t> PlanLocks(const std::vector<PlannedFile>& files,
                                     const LockLimits& limits);

struct FreeRam {
  std::optional<std::uint64_t> available_bytes;  // nullopt: not known
  std::uint64_t keep_free_bytes = 0;
  std::uint64_t margin_bytes = 0;  // no more is locked unless this much is free beside
};

// How many bytes may be locked by a process that has `locked_bytes` locked: fewer than these when
// RAM is short, as many when it is scarce, more when there is enough. Pure.
std::uint64_t MostLocked(std::uint64_t locked_bytes, const FreeRam& ram);

}  // namespace hearth

#endif  // HEARTH_KEEPER_LOCK_PLAN_H_
