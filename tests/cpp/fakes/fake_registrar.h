#ifndef HEARTH_TESTS_FAKES_FAKE_REGISTRAR_H_
#define HEARTH_TESTS_FAKES_FAKE_REGISTRAR_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "base/mutex.h"
#include "hosttier/host_registrar.h"

namespace hearth {

// Keeps account of what is registered. Thread-safe.
class FakeRegistrar final : public HostRegistrar {
 public:
  struct Range {
    const void* address;
    std::size_t size;
  };

  // An interface that throws nothing cannot say that there is no memory for its books.
  FakeRegistrar() {
    ranges_.reserve(kMostRanges);
    unregistered_.reserve(kMostRanges);
  }

  std::uint64_t refuse_from = std::numeric_limits<std::uint64_t>::max();  // the nth call, from 0
  bool copies_span = true;
  std::function<void()> on_register;  // before each, outside the lock
  const void* keeps = nullptr;        // the address of a range that is not let go of

  RegisterOutcome Register(const void* address, std::size_t size) noexcept override {
    if (on_register) on_register();
    MutexLock lock(mutex_);
    if (calls_++ >= refuse_from) return {false, "refused by the test"};
    ranges_.push_back({address, size});
    return {true, ""};
  }
  bool Unregister(const void* address) noexcept override {
    MutexLock lock(mutex_);
    if (address == keeps) return false;
    unregistered_.push_back(address);
    std::erase_if(ranges_, [&](const Range& range) { return range.address == address; });
    return true;
  }
  bool CopiesSpanRanges() noexcept override { return copies_span; }

  std::vector<Range> ranges() const {
    MutexLock lock(mutex_);
    return ranges_;
  }
  std::vector<const void*> unregistered() const {
    MutexLock lock(mutex_);
    return unregistered_;
  }

 private:
  static constexpr std::size_t kMostRanges = 4096;

  mutable Mutex mutex_;
  std::uint64_t calls_ HEARTH_GUARDED_BY(mutex_) = 0;
  std::vector<Range> ranges_ HEARTH_GUARDED_BY(mutex_);
  std::vector<const void*> unregistered_ HEARTH_GUARDED_BY(mutex_);
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_FAKE_REGISTRAR_H_
