#ifndef HEARTH_TESTS_FAKES_COUNTED_LOCKS_H_
#define HEARTH_TESTS_FAKES_COUNTED_LOCKS_H_

#include <cerrno>
#include <cstdint>
#include <limits>

#include "hosttier/system_calls.h"

namespace hearth {

// The real kernel, except that locking is only counted: a machine that runs tests may allow none.
// For one thread.
class CountedLocks final : public LinuxSystemCalls {
 public:
  std::uint64_t fails_beyond = std::numeric_limits<std::uint64_t>::max();

  int Lock(const void*, std::size_t size) const override {
    ++calls;
    locked += size;  // as the kernel does, also where it then fails
    return locked > fails_beyond ? EAGAIN : 0;
  }
  void Unlock(const void*, std::size_t size) const noexcept override { locked -= size; }

  mutable std::uint64_t locked = 0;
  mutable std::uint64_t calls = 0;
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_COUNTED_LOCKS_H_
