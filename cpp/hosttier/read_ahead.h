#ifndef HEARTH_HOSTTIER_READ_AHEAD_H_
#define HEARTH_HOSTTIER_READ_AHEAD_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "hosttier/mapped_file.h"
#include "hosttier/read_turns.h"

namespace hearth {

struct ReadAheadOptions {
  unsigned threads = 0;         // 0: as many as this machine has use for
  std::uint64_t max_bytes = 0;  // from the file's beginning; 0: all of it
  bool is_urgent = false;       // somebody waits for it: before all that is read ahead of need
};

struct ReadProgress {
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;
  std::uint64_t from_disk_bytes = 0;  // of those done; the rest was in the page cache
  bool finished = false;              // no thread reads any more
  bool cancelled = false;
  std::string fault;  // why some of it could not be read; empty: it could
  std::uint64_t fault_offset = 0;
};

// Brings a mapped file's pages into RAM and into the page tables, with several threads, once it is
// its turn. Thread-safe.
class ReadAhead {
 public:
  // A clock's time points cannot hold much more; it is a year.
  static constexpr std::chrono::duration<double> kForEver = std::chrono::hours(24 * 365);

  // Begins at once. With no thread to be had it reads on the caller's. REQUIRES: the file is mapped
  // and outlives this.
  ReadAhead(const MappedFile& file, const ReadAheadOptions& options,
            std::shared_ptr<ReadTurns> turns);
  // Cancels and waits.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // Ends soon: what is being read is finished first (some megabytes a thread).
  void Cancel();
  // It is read before all others from now on.
  void Hurry() { turn_.Hurry(); }
  // Until it is finished or cancelled, or for so long; returns whether it is. Huge: for ever.
  bool Wait(std::chrono::duration<double> most = kForEver) HEARTH_EXCLUDES(mutex_);
  bool is_finished() const HEARTH_EXCLUDES(mutex_);
  ReadProgress progress() const HEARTH_EXCLUDES(mutex_);

 private:
  void Start(unsigned threads);
  void Run();
  void Work();
  void ReadSlice(std::uint64_t offset, std::uint64_t size, std::vector<unsigned char>& pages);
  void Touch(std::uint64_t offset, std::uint64_t size);
  void Fail(std::uint64_t offset, std::string fault) HEARTH_EXCLUDES(mutex_);
  void FailAt(std::uint64_t offset, std::uint64_t size);

  const MappedFile& file_;
  const std::uint64_t total_;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<std::uint64_t> done_{0};
  std::atomic<std::uint64_t> from_disk_{0};
  std::atomic<bool> cancelled_{false};
  ReadTurn turn_;
  mutable Mutex mutex_;
  mutable CondVar changed_;
  unsigned running_ HEARTH_GUARDED_BY(mutex_) = 0;
  std::string fault_ HEARTH_GUARDED_BY(mutex_);
  std::uint64_t fault_offset_ HEARTH_GUARDED_BY(mutex_) = 0;
  std::vector<std::thread> threads_;
};

}  // namespace hearth

#endif  // HEARTH_HOSTTIER_READ_AHEAD_H_
