#include "runtime/unregistered_memory.h"

#include <algorithm>
#include <utility>

namespace hearth {

UnregisteredMemory::UnregisteredMemory(std::shared_ptr<const HostMemoryProbe> probe,
                                       std::function<std::uint64_t()> registered_bytes)
    : probe_(std::move(probe)), registered_bytes_(std::move(registered_bytes)) {}

HostMemory UnregisteredMemory::Read() const noexcept {
  HostMemory memory = probe_->Read();
  memory.available -= std::min(memory.available, registered_bytes_());
  return memory;
}

}  // namespace hearth
