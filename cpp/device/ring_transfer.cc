#include "device/ring_transfer.h"

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

namespace hearth {

RingTransfer::RingTransfer(const Parts& parts, const std::vector<UploadRange>& ranges,
                           UploadControl& control)
    : parts_(parts), ranges_(ranges), control_(control) {}

void RingTransfer::Run(std::uint64_t piece_bytes) {
  for (UploadRange range : ranges_) {
    while (range.size > 0) {
      // Pieces end where the disk's blocks do, so that none is read twice.
      const std::uint64_t to_boundary = piece_bytes - range.file_offset % piece_bytes;
      const std::uint64_t size = std::min(range.size, to_boundary);
      pieces_.push_back({range.file_offset, range.arena_offset, size});
      range = {range.file_offset + size, range.arena_offset + size, range.size - size};
    }
  }
  const std::size_t count = std::min(parts_.ring.count() / 2, pieces_.size());
  std::vector<std::thread> threads;
  threads.reserve(count);
  try {
    for (std::size_t i = 1; i < count; ++i) {
      threads.push_back(parts_.system.StartThread([this, i] { Work(i); }));
    }
  } catch (const std::exception&) {
    // No more threads to be had: those there are, and this one, do all of it.
  }
  Work(0);
  for (std::thread& thread : threads) thread.join();
  MutexLock lock(mutex_);
  if (error_ != nullptr) std::rethrow_exception(error_);
}

void RingTransfer::Work(std::size_t thread) {
  try {
    CopyPieces(thread);
  } catch (...) {
    failed_.store(true);
    MutexLock lock(mutex_);
    if (error_ == nullptr) error_ = std::current_exception();
  }
}

void RingTransfer::CopyPieces(std::size_t thread) {
  struct Lane {
    explicit Lane(std::shared_ptr<const CudaDevice> device) : stream(std::move(device)) {}
    CopyStream stream;
    std::uint64_t size = 0;  // under way
  };
  Lane first(parts_.arena.device());
  Lane second(parts_.arena.device());
  const std::array<Lane*, 2> lanes = {&first, &second};
  const auto finish = [this](Lane& lane) {
    lane.stream.Wait();
    done_.fetch_add(lane.size);
    control_.done_bytes.fetch_add(lane.size);
    lane.size = 0;
  };
  for (std::size_t turn = 0; !failed_.load() && !control_.cancelled.load(); ++turn) {
    const std::size_t index = next_.fetch_add(1);
    if (index >= pieces_.size()) break;
    const UploadRange& piece = pieces_[index];
    Lane& lane = *lanes[turn % 2];
    finish(lane);  // before its buffer is written to again
    std::byte* const buffer = parts_.ring.buffer(2 * thread + turn % 2);
    const std::byte* const bytes = parts_.reader.Read(piece.file_offset, piece.size, buffer);
    lane.stream.CopyToDevice(parts_.arena.address() + piece.arena_offset, bytes, piece.size);
    lane.size = piece.size;
  }
  finish(first);
  finish(second);
}

}  // namespace hearth
