#ifndef HEARTH_TESTS_FAKES_FAKE_MEMORY_PROBE_H_
#define HEARTH_TESTS_FAKES_FAKE_MEMORY_PROBE_H_

#include <atomic>
#include <cstdint>

#include "cache/host_memory_probe.h"

namespace hearth {

// A machine of a given size whose free memory the fake models take from and give back to.
class FakeMemoryProbe final : public HostMemoryProbe {
 public:
  explicit FakeMemoryProbe(std::uint64_t total) : total_(total), available_(total) {}
  HostMemory Read() const noexcept override { return {total_, available_.load()}; }
  void Take(std::uint64_t bytes) { available_ -= bytes; }
  void GiveBack(std::uint64_t bytes) { available_ += bytes; }

 private:
  const std::uint64_t total_;
  std::atomic<std::uint64_t> available_;
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_FAKE_MEMORY_PROBE_H_
