#ifndef HEARTH_HOSTTIER_PINNED_RING_H_
#define HEARTH_HOSTTIER_PINNED_RING_H_

#include <cstddef>
#include <memory>

#include "hosttier/host_registrar.h"
#include "hosttier/system_calls.h"

namespace hearth {

// A fixed number of registered buffers through which bytes are streamed that are not registered
// where they lie. Does not move; the buffers belong to whoever uses them.
class PinnedRing {
 public:
  struct Parts {
    std::shared_ptr<const SystemCalls> system;
    std::shared_ptr<HostRegistrar> registrar;
  };

  // Throws Error when there is no memory for it. Buffers that cannot be registered still serve:
  // copies from them are slower.
  PinnedRing(Parts parts, std::size_t buffers, std::size_t buffer_bytes);
  // REQUIRES: no copy from it is under way.
  ~PinnedRing();
  PinnedRing(const PinnedRing&) = delete;
  PinnedRing& operator=(const PinnedRing&) = delete;

  std::size_t count() const { return count_; }
  std::size_t buffer_bytes() const { return buffer_bytes_; }
  std::byte* buffer(std::size_t index) const { return address_ + index * buffer_bytes_; }
  bool is_registered() const { return is_registered_; }

 private:
  Parts parts_;
  std::size_t count_;
  std::size_t buffer_bytes_;  // whole pages
  std::byte* address_ = nullptr;
  bool is_registered_ = false;
};

}  // namespace hearth

#endif  // HEARTH_HOSTTIER_PINNED_RING_H_
