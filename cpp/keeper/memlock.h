#ifndef HEARTH_KEEPER_MEMLOCK_H_
#define HEARTH_KEEPER_MEMLOCK_H_

#include <cstdint>
#include <optional>
#include <string>

namespace hearth {

// How many bytes this process may lock; nullopt: as many as there are, because it has no limit or
// CAP_IPC_LOCK.
std::optional<std::uint64_t> LockableBytes();

// Raises the soft limit of locked memory to the hard one; what is refused is left as it is.
void RaiseMemlockLimit() noexcept;

// What to raise, as lines to copy, for `needed` bytes where only `lockable` may be locked.
std::string MemlockAdvice(std::uint64_t needed, std::uint64_t lockable);

}  // namespace hearth

#endif  // HEARTH_KEEPER_MEMLOCK_H_
