#ifndef HEARTH_TESTS_CHECKPOINT_MEMORY_SOURCE_H_
#define HEARTH_TESTS_CHECKPOINT_MEMORY_SOURCE_H_

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "checkpoint/byte_source.h"

namespace hearth {

// How the source below misbehaves. The defaults are a well-behaved disk.
struct ReadFaults {
  std::size_t most_per_read = std::numeric_limits<std::size_t>::max();  // short reads
  bool interrupt_every_other = false;                                   // EINTR
  std::uint64_t error_at = std::numeric_limits<std::uint64_t>::max();   // EIO when this is read
  std::uint64_t ends_at = std::numeric_limits<std::uint64_t>::max();    // although size() says more
};

// A file in memory, with a disk that fails on demand.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string bytes, ReadFaults faults = {})
      : bytes_(std::move(bytes)), faults_(faults) {}

  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return bytes_.size(); }
  bool IsFresh() const override { return is_fresh; }

  ReadOutcome ReadAt(std::uint64_t offset, char* into, std::size_t size) const override {
    if (faults_.interrupt_every_other && reads_++ % 2 == 0) return {.error = EINTR};
    const std::uint64_t end = std::min<std::uint64_t>(bytes_.size(), faults_.ends_at);
    if (offset >= end) return {};
    std::uint64_t count = std::min<std::uint64_t>({size, faults_.most_per_read, end - offset});
    if (offset <= faults_.error_at && faults_.error_at - offset < count) {
      count = faults_.error_at - offset;
      if (count == 0) return {.error = EIO};
    }
    std::memcpy(into, bytes_.data() + offset, count);
    furthest_read_ = std::max(furthest_read_.load(), offset + count);
    return {.bytes = static_cast<std::size_t>(count)};
  }

  // The first byte that no read has reached.
  std::uint64_t furthest_read() const { return furthest_read_; }

  bool is_fresh = false;

 private:
  std::string name_ = "model.safetensors";
  std::string bytes_;
  ReadFaults faults_;
  mutable std::atomic<std::uint64_t> reads_ = 0;
  mutable std::atomic<std::uint64_t> furthest_read_ = 0;
};

}  // namespace hearth

#endif  // HEARTH_TESTS_CHECKPOINT_MEMORY_SOURCE_H_
