#include "checkpoint/content_scan.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <string>
#include <thread>
#include <utility>

#include "base/mutex.h"

namespace hearth {
namespace {

struct Block {
  std::uint64_t offset;
  std::size_t size;
};

struct TensorCounts {
  std::size_t tensor;
  ValueCounts counts;
};

// The tensor that holds the byte at `offset`, or the first after it.
std::size_t TensorAt(const std::vector<TensorInfo>& tensors, std::uint64_t offset) {
  const auto found = std::partition_point(tensors.begin(), tensors.end(),
                                          [&](const TensorInfo& t) { return t.end() <= offset; });
  return static_cast<std::size_t>(found - tensors.begin());
}

// Cuts the file into blocks that end between elements, so that each can be counted by itself.
std::vector<Block> CutIntoBlocks(const SafetensorsIndex& index, std::size_t block_bytes) {
  std::vector<Block> blocks;
  for (std::uint64_t at = 0; at < index.file_size();) {
    std::uint64_t end = std::min<std::uint64_t>(at + block_bytes, index.file_size());
    const std::size_t tensor = TensorAt(index.tensors(), end);
    if (tensor < index.tensors().size() && index.tensors()[tensor].offset < end) {
      const std::uint64_t element = std::max(1u, BitsOf(index.tensors()[tensor].dtype) / 8);
      end -= (end - index.tensors()[tensor].offset) % element;
    }
    blocks.push_back({at, static_cast<std::size_t>(end - at)});
    at = end;
  }
  return blocks;
}

std::vector<TensorCounts> CountBlock(const SafetensorsIndex& index, const Block& block,
                                     const std::string& bytes) {
  std::vector<TensorCounts> counts;
  const std::uint64_t block_end = block.offset + block.size;
  for (std::size_t i = TensorAt(index.tensors(), block.offset); i < index.tensors().size(); ++i) {
    const TensorInfo& tensor = index.tensors()[i];
    if (tensor.offset >= block_end) break;
    const std::uint64_t from = std::max(tensor.offset, block.offset);
    const std::uint64_t to = std::min(tensor.end(), block_end);
    if (from >= to) continue;
    counts.push_back({i, CountValues(tensor.dtype, bytes.data() + (from - block.offset),
                                     static_cast<std::size_t>(to - from))});
  }
  return counts;
}

// Workers read blocks ahead into a ring of slots; the caller takes them out in order.
class Scan {
 public:
  Scan(const ByteSource& source, const SafetensorsIndex& index, const ScanOptions& options)
      : source_(source),
        index_(index),
        blocks_(CutIntoBlocks(index, std::max<std::size_t>(options.block_bytes, 64))),
        slots_(2 * std::max(1u, options.threads)) {}

  ~Scan() {
    {
      const MutexLock lock(mutex_);
      stop_ = true;
    }
    changed_.NotifyAll();
    for (std::thread& worker : workers_) worker.join();
  }

  std::vector<ValueCounts> Run(const BlockSink& sink) {
    for (std::size_t i = 0; i < slots_.size() / 2; ++i) workers_.emplace_back([this] { Work(); });
    std::vector<ValueCounts> totals(index_.tensors().size());
    for (std::size_t number = 0; number < blocks_.size(); ++number) {
      const Slot& slot = WaitForBlock(number);
      if (slot.error) std::rethrow_exception(slot.error);
      sink(slot.bytes);
      for (const TensorCounts& part : slot.counts) totals[part.tensor] += part.counts;
      GiveBack(number);
    }
    return totals;
  }

 private:
  struct Slot {
    std::string bytes;
    std::vector<TensorCounts> counts;
    std::exception_ptr error;
    bool is_full = false;
  };

  void Work() {
    std::size_t number;
    while (ClaimBlock(number)) {
      // Ours alone from here until it is marked full: block numbers in flight span one ring.
      Slot& slot = slots_[number % slots_.size()];
      try {
        const Block& block = blocks_[number];
        slot.bytes.resize(block.size);
        ReadExactly(source_, block.offset, slot.bytes.data(), block.size);
        slot.counts = CountBlock(index_, block, slot.bytes);
      } catch (...) {
        slot.error = std::current_exception();
      }
      {
        const MutexLock lock(mutex_);
        slot.is_full = true;
      }
      changed_.NotifyAll();
    }
  }

  bool ClaimBlock(std::size_t& number) {
    const MutexLock lock(mutex_);
    while (!stop_ && claimed_ < blocks_.size() && claimed_ >= given_back_ + slots_.size()) {
      changed_.Wait(mutex_);
    }
    if (stop_ || claimed_ == blocks_.size()) return false;
    number = claimed_++;
    return true;
  }

  const Slot& WaitForBlock(std::size_t number) {
    const MutexLock lock(mutex_);
    Slot& slot = slots_[number % slots_.size()];
    while (!slot.is_full) changed_.Wait(mutex_);
    return slot;
  }

  void GiveBack(std::size_t number) {
    {
      const MutexLock lock(mutex_);
      slots_[number % slots_.size()].is_full = false;
      ++given_back_;
    }
    changed_.NotifyAll();
  }

  const ByteSource& source_;
  const SafetensorsIndex& index_;
  const std::vector<Block> blocks_;
  std::vector<Slot> slots_;
  Mutex mutex_;
  CondVar changed_;
  std::size_t claimed_ HEARTH_GUARDED_BY(mutex_) = 0;
  std::size_t given_back_ HEARTH_GUARDED_BY(mutex_) = 0;
  bool stop_ HEARTH_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> workers_;
};

}  // namespace

std::vector<ValueCounts> ScanContents(const ByteSource& source, const SafetensorsIndex& index,
                                      const ScanOptions& options, const BlockSink& sink) {
  return Scan(source, index, options).Run(sink);
}

}  // namespace hearth
