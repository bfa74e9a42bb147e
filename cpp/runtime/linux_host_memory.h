#ifndef HEARTH_RUNTIME_LINUX_HOST_MEMORY_H_
#define HEARTH_RUNTIME_LINUX_HOST_MEMORY_H_

#include <string>

#include "cache/host_memory_probe.h"

namespace hearth {

// Reads /proc/meminfo and the memory limit of the process's control group (v2 or v1), whichever is
// nearer. In a container MemAvailable is the whole host's, so it alone would promise too much.
class LinuxHostMemory final : public HostMemoryProbe {
 public:
  // `root` is put before /proc and /sys; tests give a folder of their own.
  explicit LinuxHostMemory(std::string root = "");
  HostMemory Read() const noexcept override;

 private:
  std::string root_;
};

}  // namespace hearth

#endif  // HEARTH_RUNTIME_LINUX_HOST_MEMORY_H_
