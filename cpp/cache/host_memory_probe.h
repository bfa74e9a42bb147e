#ifndef HEARTH_CACHE_HOST_MEMORY_PROBE_H_
#define HEARTH_CACHE_HOST_MEMORY_PROBE_H_

#include <cstdint>

namespace hearth {

struct HostMemory {
  // Bytes this process may use: RAM or the control group's limit, the smaller. 0: not known, and
  // then nobody is evicted for the sake of free RAM.
  std::uint64_t total = 0;
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
