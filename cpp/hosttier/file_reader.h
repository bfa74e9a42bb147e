#ifndef HEARTH_HOSTTIER_FILE_READER_H_
#define HEARTH_HOSTTIER_FILE_READER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "hosttier/mapped_file.h"

namespace hearth {

// How the bytes of a file come from its disk.
enum class ReadPath {
  kAuto,       // through the page cache when they are there already or there is room to keep them
  kPageCache,  // they are in RAM afterwards
  kDirect,     // past the page cache, where the file system can: nothing else is pushed out
};

// Reads pieces of a file into memory, in several threads at once. Thread-safe.
class FileReader {
 public:
  // `room_bytes`: how much RAM there is for pages that are kept. REQUIRES: the file outlives this.
  FileReader(const MappedFile& file, ReadPath path, std::uint64_t room_bytes);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  // What a buffer must have beyond the piece that is read into it.
  static constexpr std::size_t kSlack = 8192;

  // Reads exactly `size` bytes at `offset` into the buffer; returns where in it they begin. Through
  // short reads and interruptions. Throws CheckpointCorrupt at the byte that cannot be read.
  // REQUIRES: `buffer` begins with a page and has room for size + kSlack.
  std::byte* Read(std::uint64_t offset, std::size_t size, std::byte* buffer) const;
  bool is_direct() const { return direct_descriptor_ >= 0 && !direct_refused_.load(); }

 private:
  bool WantsDirect(std::uint64_t room_bytes) const;
  double CachedShare() const;
  bool ReadDirect(std::uint64_t offset, std::size_t size, std::byte* buffer) const;

  const MappedFile& file_;
  int direct_descriptor_ = -1;
  mutable std::atomic<bool> direct_refused_{false};
};

}  // namespace hearth

#endif  // HEARTH_HOSTTIER_FILE_READER_H_
