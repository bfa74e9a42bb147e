#ifndef HEARTH_HOSTTIER_FAULT_GUARD_H_
#define HEARTH_HOSTTIER_FAULT_GUARD_H_

#include <cstddef>

namespace hearth {

// Survives the SIGBUS of a mapped file that was truncated, or whose disk fails: from the page that
// faulted to the end of the range zeros are mapped, and has_faulted() says so from then on. Every
// other SIGBUS goes to the handler that was there before. One for each mapping, made before the
// memory is read and destroyed before it is unmapped. Thread-safe.
class FaultGuard {
 public:
  // REQUIRES: a page-aligned range. With more than 512 at once is_watching() is false.
  FaultGuard(const void* address, std::size_t size) noexcept;
  ~FaultGuard();
  FaultGuard(const FaultGuard&) = delete;
  FaultGuard& operator=(const FaultGuard&) = delete;

  bool is_watching() const noexcept { return slot_ >= 0; }
  bool has_faulted() const noexcept;

 private:
  int slot_ = -1;
};

}  // namespace hearth

#endif  // HEARTH_HOSTTIER_FAULT_GUARD_H_
