#include "runtime/make_keeper.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "keeper/memlock.h"
#include "runtime/linux_host_memory.h"

namespace hearth {

std::unique_ptr<KeeperServer> MakeKeeper(const std::string& folder, HostTierLimits limits) {
  constexpr std::uint64_t kMostKeptFree = std::uint64_t{2} << 30;
  const auto probe = std::make_shared<const LinuxHostMemory>();
  const std::uint64_t least_free = std::min(probe->Read().total / 8, kMostKeptFree);
  limits.keep_free_bytes = std::max(limits.keep_free_bytes, least_free);
  RaiseMemlockLimit();
  const auto clock = std::make_shared<const SystemClock>();
  KeptFiles::Parts files;
  files.system = std::make_shared<const LinuxSystemCalls>();
  files.clock = clock;
  files.limits = limits;
  files.lockable = &LockableBytes;
  files.available = [probe]() -> std::optional<std::uint64_t> {
    const HostMemory memory = probe->Read();
    if (memory.total == 0) return std::nullopt;
    return memory.available;
  };
  KeeperServer::Parts parts;
  parts.folder = folder;
  parts.clock = clock;
  parts.files = std::make_unique<KeptFiles>(std::move(files));
  return std::make_unique<KeeperServer>(std::move(parts));
}

}  // namespace hearth
