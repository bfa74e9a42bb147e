#include "fakes/failing_new.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <new>

namespace hearth {
namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

// Constant initialisation: allocations before main() find them ready.
std::atomic<std::uint64_t> fail_at{kNever};
std::atomic<std::uint64_t> allocations{0};
std::atomic<bool> failed{false};

void* Allocate(std::size_t size, std::size_t alignment) {
  const bool counts = fail_at.load() != kNever && SparedFromFailing::depth == 0;
  if (counts && allocations.fetch_add(1) == fail_at.load()) {
    failed.store(true);
    return nullptr;
  }
  if (size == 0) size = 1;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(size);
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

void* AllocateOrThrow(std::size_t size, std::size_t alignment) {
  if (void* const place = Allocate(size, alignment)) return place;
  throw std::bad_alloc();
}

}  // namespace

FailingNew::FailingNew(std::uint64_t nth) {
  allocations.store(0);
  failed.store(false);
  fail_at.store(nth);
}

FailingNew::~FailingNew() { fail_at.store(kNever); }

bool FailingNew::has_failed() const { return failed.load(); }

}  // namespace hearth

void* operator new(std::size_t size) { return hearth::AllocateOrThrow(size, 1); }
void* operator new[](std::size_t size) { return hearth::AllocateOrThrow(size, 1); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return hearth::AllocateOrThrow(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return hearth::Allocate(size, 1);
}
void operator delete(void* place) noexcept { std::free(place); }
void operator delete[](void* place) noexcept { std::free(place); }
void operator delete(void* place, std::size_t) noexcept { std::free(place); }
void operator delete[](void* place, std::size_t) noexcept { std::free(place); }
void operator delete(void* place, std::align_val_t) noexcept { std::free(place); }
void operator delete(void* place, std::size_t, std::align_val_t) noexcept { std::free(place); }
void operator delete(void* place, const std::nothrow_t&) noexcept { std::free(place); }
