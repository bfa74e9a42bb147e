#include "device/uploader.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/error.h"
#include "device/ring_transfer.h"

namespace hearth {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

double SecondsSince(SteadyTime start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

unsigned ThreadCount(unsigned asked) {
  return asked > 0 ? asked : std::clamp(std::thread::hardware_concurrency(), 2u, 16u);
}

void RequireInside(const HostFile& file, const DeviceArena& arena, const UploadRange& range) {
  const bool in_file = range.file_offset <= file.file().size() &&
                       range.size <= file.file().size() - range.file_offset;
  const bool in_arena =
      range.arena_offset <= arena.size() && range.size <= arena.size() - range.arena_offset;
  if (in_file && in_arena) return;
  throw Error(file.file().name() + ": " + std::to_string(range.size) + " bytes at " +
              std::to_string(range.file_offset) + " do not fit the file or the arena.");
}

}  // namespace

// The ring, while one upload has it.
class Uploader::RingUse {
 public:
  explicit RingUse(Uploader& uploader) : uploader_(uploader) {
    MutexLock lock(uploader_.mutex_);
    while (uploader_.ring_in_use_) uploader_.returned_.Wait(uploader_.mutex_);
    uploader_.ring_in_use_ = true;
  }
  ~RingUse() {
    MutexLock lock(uploader_.mutex_);
    uploader_.ring_in_use_ = false;
    uploader_.returned_.NotifyAll();
  }
  RingUse(const RingUse&) = delete;
  RingUse& operator=(const RingUse&) = delete;

  const PinnedRing& ring() {
    if (uploader_.ring_ == nullptr) {
      const std::size_t lanes = 2 * std::size_t{ThreadCount(uploader_.options_.threads)};
      uploader_.ring_ = std::make_unique<PinnedRing>(
          uploader_.ring_parts_, lanes, uploader_.options_.buffer_bytes + FileReader::kSlack);
    }
    return *uploader_.ring_;
  }

 private:
  Uploader& uploader_;
};

Uploader::Uploader(std::shared_ptr<const CudaDevice> device, PinnedRing::Parts ring_parts,
                   const UploadOptions& options)
    : device_(std::move(device)), ring_parts_(std::move(ring_parts)), options_(options) {}

UploadStats Uploader::Run(const HostFile& file, const DeviceArena& arena,
                          const std::vector<UploadRange>& ranges, UploadControl* control) {
  const SteadyTime start = std::chrono::steady_clock::now();
  UploadControl unwatched;
  UploadControl& watched = control != nullptr ? *control : unwatched;
  file.RequireSound();
  UploadStats stats;
  std::vector<UploadRange> streamed;
  CopyStream stream(device_);
  for (UploadRange range : ranges) {
    RequireInside(file, arena, range);
    while (range.size > 0) {
      const std::uint64_t size = std::min(range.size, file.CopyableBytes(range.file_offset));
      if (size == 0) break;
      stream.CopyToDevice(arena.address() + range.arena_offset,
                          file.file().address() + range.file_offset, size);
      stats.registered_bytes += size;
      range = {range.file_offset + size, range.arena_offset + size, range.size - size};
    }
    if (range.size > 0) streamed.push_back(range);
  }
  if (!streamed.empty()) {
    RingUse use(*this);
    const SteadyTime before = std::chrono::steady_clock::now();
    const PinnedRing& ring = use.ring();
    stats.ring_seconds = SecondsSince(before);
    const FileReader reader(file.file(), options_.path, file.room_bytes());
    RingTransfer transfer({ring, reader, *ring_parts_.system, arena}, streamed, watched);
    transfer.Run(options_.buffer_bytes);
    stats.ring_bytes = transfer.done_bytes();
    stats.direct = reader.is_direct();
  }
  stream.Wait();
  watched.done_bytes.fetch_add(stats.registered_bytes);
  file.RequireSound();
  stats.cancelled = watched.cancelled.load();
  stats.seconds = SecondsSince(start);
  return stats;
}

}  // namespace hearth
