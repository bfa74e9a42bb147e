#ifndef HEARTH_DEVICE_UPLOADER_H_
#define HEARTH_DEVICE_UPLOADER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "device/cuda_device.h"
#include "hosttier/file_reader.h"
#include "hosttier/host_file.h"
#include "hosttier/pinned_ring.h"

namespace hearth {

// These bytes of a file go there in an arena.
struct UploadRange {
  std::uint64_t file_offset = 0;
  std::uint64_t arena_offset = 0;
  std::uint64_t size = 0;
};

struct UploadOptions {
  unsigned threads = 0;  // that read; 0: as many as this machine has use for
  std::size_t buffer_bytes = std::size_t{4} << 20;  // two of them a thread
  ReadPath path = ReadPath::kAuto;
};

struct UploadStats {
  std::uint64_t registered_bytes = 0;  // that the device fetched by itself
  std::uint64_t ring_bytes = 0;        // that went through the transfer buffers
  bool direct = false;                 // and past the page cache
  bool cancelled = false;
  double ring_seconds = 0;  // that making the transfer buffers took
  double seconds = 0;       // in all
};

// Watches and ends an upload from another thread.
struct UploadControl {
  std::atomic<std::uint64_t> done_bytes{0};
  std::atomic<bool> cancelled{false};
};

// Copies bytes of held files into arenas of one device, with disk, host and bus at work at the same
// time: registered bytes in one copy, the others through a ring that several threads fill. Thread-
// safe; the ring is made at the first need and one upload at a time has it.
class Uploader {
 public:
  Uploader(std::shared_ptr<const CudaDevice> device, PinnedRing::Parts ring_parts,
           const UploadOptions& options);

  // Returns when all bytes are there, or it was cancelled. Throws CheckpointCorrupt (a byte that
  // cannot be read, a file that changed meanwhile), CudaError, Error; then no copy is under way any
  // more, and what the arena holds is not to be used. REQUIRES: the ranges lie in the file and in
  // the arena, and nobody unregisters the file meanwhile.
  UploadStats Run(const HostFile& file, const DeviceArena& arena,
                  const std::vector<UploadRange>& ranges, UploadControl* control = nullptr)
      HEARTH_EXCLUDES(mutex_);

 private:
  class RingUse;

  std::shared_ptr<const CudaDevice> device_;
  const PinnedRing::Parts ring_parts_;
  const UploadOptions options_;
  Mutex mutex_;
  CondVar returned_;
  bool ring_in_use_ HEARTH_GUARDED_BY(mutex_) = false;
  std::unique_ptr<PinnedRing> ring_;  // belongs to whoever set ring_in_use_
};

}  // namespace hearth

#endif  // HEARTH_DEVICE_UPLOADER_H_
