#ifndef HEARTH_DEVICE_RING_TRANSFER_H_
#define HEARTH_DEVICE_RING_TRANSFER_H_

#include <atomic>
#include <cstdint>
#include <exception>
#include <vector>

#include "base/mutex.h"
#include "device/uploader.h"

namespace hearth {

// One upload through the ring: each thread has two buffers of it, and reads into one while the
// device fetches the other. Threads take the next piece when they are free, so a slow one holds
// nobody up.
class RingTransfer {
 public:
  struct Parts {
    const PinnedRing& ring;
    const FileReader& reader;
    const SystemCalls& system;
    const DeviceArena& arena;
  };

  RingTransfer(const Parts& parts, const std::vector<UploadRange>& ranges, UploadControl& control);

  // In pieces of at most `piece_bytes`. Throws what the first thread that failed threw, once all
  // have ended and no copy is under way.
  void Run(std::uint64_t piece_bytes) HEARTH_EXCLUDES(mutex_);
  std::uint64_t done_bytes() const { return done_.load(); }

 private:
  void Work(std::size_t thread) HEARTH_EXCLUDES(mutex_);
  void CopyPieces(std::size_t thread);

  const Parts parts_;
  const std::vector<UploadRange>& ranges_;
  UploadControl& control_;
  std::vector<UploadRange> pieces_;
  std::atomic<std::size_t> next_{0};
  std::atomic<std::uint64_t> done_{0};
  std::atomic<bool> failed_{false};
  Mutex mutex_;
  std::exception_ptr error_ HEARTH_GUARDED_BY(mutex_);
};

}  // namespace hearth

#endif  // HEARTH_DEVICE_RING_TRANSFER_H_
