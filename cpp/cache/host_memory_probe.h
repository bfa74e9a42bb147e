#ifndef HEARTH_CACHE_HOST_MEMORY_PROBE_H_
#define HEARTH_CACHE_HOST_MEMORY_PROBE_H_

#include <cstdint>

namespace hearth {

struct HostMemory {
  std::uint64_t total = 0;      // bytes this process may use: RAM or the cgroup's limit, the smaller
  std::uint64_t available = 0;  // bytes that can still be taken without swapping
};

// How much RAM is free. Thread-safe, cheap (microseconds), must not throw.
class HostMemoryProbe {
 public:
  virtual ~HostMemoryProbe() = default;
  virtual HostMemory Read() const noexcept = 0;
};

}  // namespace hearth

#endif  // HEARTH_CACHE_HOST_MEMORY_PROBE_H_
