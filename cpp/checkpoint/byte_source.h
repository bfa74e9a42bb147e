#ifndef HEARTH_CHECKPOINT_BYTE_SOURCE_H_
#define HEARTH_CHECKPOINT_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace hearth {

// What one read gave: bytes (0 is the end of the file), or an errno.
struct ReadOutcome {
  std::size_t bytes = 0;
  int error = 0;
};

// Where the bytes of a checkpoint come from: a file, or in tests memory that fails on demand.
// Thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // The file's name for messages, never its folder.
  virtual const std::string& name() const = 0;
  // In bytes, as of opening.
  virtual std::uint64_t size() const = 0;
  // Like pread: may give fewer bytes than asked for, may be interrupted.
  virtual ReadOutcome ReadAt(std::uint64_t offset, char* into, std::size_t size) const = 0;
  // Written to within the last minute: what is missing may still be on its way.
  virtual bool IsFresh() const { return false; }
};

// Reads exactly `size` bytes, through short reads and interruptions. Throws CheckpointCorrupt at
// the byte where the source fails or ends early.
void ReadExactly(const ByteSource& source, std::uint64_t offset, char* into, std::size_t size);

}  // namespace hearth

#endif  // HEARTH_CHECKPOINT_BYTE_SOURCE_H_
