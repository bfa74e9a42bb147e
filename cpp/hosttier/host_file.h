#ifndef HEARTH_HOSTTIER_HOST_FILE_H_
#define HEARTH_HOSTTIER_HOST_FILE_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "hosttier/host_budget.h"
#include "hosttier/host_registrar.h"
#include "hosttier/mapped_file.h"
#include "hosttier/read_ahead.h"

namespace hearth {

enum class HostFileState {
  kUnmapped,  // the kernel refused to map it; it can only be streamed
  kMapped,    // nothing was read ahead yet
  kReading,
  kRead,      // read ahead has ended; what it read is in RAM unless the system took it back
  kPoisoned,  // its bytes are not to be trusted any more
};
const char* ToString(HostFileState state);

struct RegisterRequest {
  std::uint64_t max_bytes = std::numeric_limits<std::uint64_t>::max();
  double max_seconds = std::numeric_limits<double>::infinity();  // looked at between slices
};

// One file in the host tier: its bytes mapped, read ahead, locked and registered from the beginning
// on, as far as asked and allowed. Thread-safe. Nothing slow is done under its lock.
class HostFile {
 public:
  struct Parts {
    std::shared_ptr<HostRegistrar> registrar;  // nullptr: there is no device
    std::shared_ptr<HostBudget> budget;
    std::shared_ptr<ReadTurns> turns;  // with all whose reading shares the disks with this one's
    std::uint64_t slice_bytes = std::uint64_t{256} << 20;
  };

  // Maps it; that it cannot be mapped is logged, and no error.
  HostFile(std::unique_ptr<MappedFile> file, Parts parts);
  // Waits for its readers. Makes no device call: what is registered then is leaked with its
  // mapping, because the device may still read it.
  ~HostFile();
  HostFile(const HostFile&) = delete;
  HostFile& operator=(const HostFile&) = delete;

  const MappedFile& file() const { return *file_; }
  HostFileState state() const HEARTH_EXCLUDES(mutex_);
  // Throws CheckpointCorrupt when the bytes are not those that were held: truncated, written to, or
  // not to be read. Asks the file system (a microsecond).
  void RequireSound() const HEARTH_EXCLUDES(mutex_);

  // Begins to read, unless that is under way, which `is_urgent` hurries; returns at once.
  void StartReadAhead(ReadAheadOptions options) HEARTH_EXCLUDES(mutex_);
  // Waits for so long at most; returns whether nothing is being read any more. Throws
  // CheckpointCorrupt when some of it could not be read.
  bool WaitForReadAhead(std::chrono::duration<double> most = ReadAhead::kForEver)
      HEARTH_EXCLUDES(mutex_);
  void CancelReadAhead() HEARTH_EXCLUDES(mutex_);
  ReadProgress read_progress() const HEARTH_EXCLUDES(mutex_);

  // Registers what comes next, slice by slice, until it is all, or what was asked, or no more is
  // allowed; returns how many bytes that were. What is not in RAM yet is read first. What it was
  // refused for is logged once. Stalls running work of the devices for as long as it takes. Throws
  // CheckpointCorrupt.
  std::uint64_t Register(const RegisterRequest& request) HEARTH_EXCLUDES(mutex_);
  // Undoes it, last slice first; returns how many bytes. What the driver does not let go of stays
  // registered. REQUIRES: nobody copies from them.
  std::uint64_t Unregister() HEARTH_EXCLUDES(mutex_);
  std::uint64_t registered_bytes() const { return registered_.load(); }
  // How many bytes from `offset` on a device can fetch by itself in one copy; 0: none.
  std::uint64_t CopyableBytes(std::uint64_t offset) const HEARTH_EXCLUDES(mutex_);
  bool IsCopyable(std::uint64_t offset, std::uint64_t size) const {
    return CopyableBytes(offset) >= size;
  }
  // Why the last Register() or Lock() ended early; empty: it did not.
  std::string refusal() const HEARTH_EXCLUDES(mutex_);

  // Keeps the next bytes in RAM whatever else needs it, at most `max_bytes`; returns how many.
  std::uint64_t Lock(std::uint64_t max_bytes) HEARTH_EXCLUDES(mutex_);
  std::uint64_t Unlock() HEARTH_EXCLUDES(mutex_);
  std::uint64_t locked_bytes() const { return locked_.load(); }
  // RAM that the tier may still fill.
  std::uint64_t room_bytes() const { return parts_.budget->Room(); }

 private:
  class WorkPermit;
  struct Slice {
    std::uint64_t offset;
    std::uint64_t size;
  };

  std::uint64_t RegisterSlice(std::uint64_t most);
  void BringIn(std::uint64_t offset, std::uint64_t size) HEARTH_EXCLUDES(mutex_);
  void ForgetRefusal() HEARTH_EXCLUDES(mutex_);
  void StepDown(const char* event, const std::string& reason) HEARTH_EXCLUDES(mutex_);
  void Poison(std::uint64_t offset, const std::string& reason) const HEARTH_REQUIRES(mutex_);
  void LookForFaults() const HEARTH_EXCLUDES(mutex_);
  std::shared_ptr<ReadAhead> reader() const HEARTH_EXCLUDES(mutex_);

  std::unique_ptr<MappedFile> file_;
  const Parts parts_;
  std::atomic<std::uint64_t> registered_{0};
  std::atomic<std::uint64_t> locked_{0};

  mutable Mutex mutex_;
  CondVar idle_;
  bool working_ HEARTH_GUARDED_BY(mutex_) = false;
  std::vector<Slice> slices_ HEARTH_GUARDED_BY(mutex_);
  std::shared_ptr<ReadAhead> reader_ HEARTH_GUARDED_BY(mutex_);
  std::string refusal_ HEARTH_GUARDED_BY(mutex_);
  std::string logged_refusal_ HEARTH_GUARDED_BY(mutex_);
  mutable std::string poison_ HEARTH_GUARDED_BY(mutex_);  // empty: sound
  mutable std::uint64_t poison_offset_ HEARTH_GUARDED_BY(mutex_) = 0;
};

}  // namespace hearth

#endif  // HEARTH_HOSTTIER_HOST_FILE_H_
