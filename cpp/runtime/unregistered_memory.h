#ifndef HEARTH_RUNTIME_UNREGISTERED_MEMORY_H_
#define HEARTH_RUNTIME_UNREGISTERED_MEMORY_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "cache/host_memory_probe.h"

namespace hearth {

// Another probe's answer without the pages of files that a device holds. The system counts those as
// available, and whoever believed it would keep models until something else had to be swapped out.
class UnregisteredMemory final : public HostMemoryProbe {
 public:
  // `registered_bytes`: how many there are just now. Thread-safe, cheap, must not throw.
  UnregisteredMemory(std::shared_ptr<const HostMemoryProbe> probe,
                     std::function<std::uint64_t()> registered_bytes);
  HostMemory Read() const noexcept override;

 private:
  std::shared_ptr<const HostMemoryProbe> probe_;
  std::function<std::uint64_t()> registered_bytes_;
};

}  // namespace hearth

#endif  // HEARTH_RUNTIME_UNREGISTERED_MEMORY_H_
