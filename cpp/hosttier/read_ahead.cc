#include "hosttier/read_ahead.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace hearth {
namespace {

constexpr std::uint64_t kSliceBytes = std::uint64_t{16} << 20;

// More threads than cores: for most of their time they wait for the disk. What counts is how much
// it is asked for at once; with less than about 128 MiB a virtual disk gave half of what it can.
unsigned ThreadCount(unsigned asked, std::uint64_t total) {
  constexpr unsigned kMost = 16;
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  const unsigned wanted = asked > 0 ? asked : std::clamp(2 * cores, 8u, kMost);
  const std::uint64_t slices = (total + kSliceBytes - 1) / kSliceBytes;
  return static_cast<unsigned>(std::min<std::uint64_t>(wanted, std::max<std::uint64_t>(1, slices)));
}

}  // namespace

ReadAhead::ReadAhead(const MappedFile& file, const ReadAheadOptions& options,
                     std::shared_ptr<ReadTurns> turns)
    : file_(file),
      total_(options.max_bytes == 0 ? file.size() : std::min(options.max_bytes, file.size())),
      turn_(std::move(turns), file.identity().device, options.is_urgent) {
  Start(ThreadCount(options.threads, total_));
}

ReadAhead::~ReadAhead() {
  Cancel();
  for (std::thread& thread : threads_) thread.join();
}

void ReadAhead::Cancel() {
  cancelled_.store(true);
  turn_.Leave();  // after the flag: a thread that goes on for this sees it
}

void ReadAhead::Start(unsigned threads) {
  threads_.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) {
    {
      MutexLock lock(mutex_);
      ++running_;
    }
    try {
      threads_.push_back(file_.system().StartThread([this] { Run(); }));
    } catch (const std::exception&) {  // no more threads, or no memory for one: fewer do it too
      if (threads_.empty()) {
        turn_.Hurry();  // the caller does not wait for what others have asked for
        return Run();
      }
      MutexLock lock(mutex_);
      --running_;
      changed_.NotifyAll();
      return;
    }
  }
}

void ReadAhead::Run() {
  try {
    Work();
  } catch (const std::exception& error) {
    Fail(next_.load(), error.what());
  }
  MutexLock lock(mutex_);
  --running_;
  changed_.NotifyAll();
}

void ReadAhead::Work() {
  std::vector<unsigned char> pages(kSliceBytes / PageSize());
  while (true) {
    turn_.Await();
    if (cancelled_.load()) return;
    const std::uint64_t offset = next_.fetch_add(kSliceBytes);
    if (offset >= total_) return turn_.Leave();
    const std::uint64_t size = std::min(kSliceBytes, total_ - offset);
    ReadSlice(offset, size, pages);
    done_.fetch_add(size);
  }
}

void ReadAhead::ReadSlice(std::uint64_t offset, std::uint64_t size,
                          std::vector<unsigned char>& pages) {
  const SystemCalls& system = file_.system();
  const std::byte* const address = file_.address() + offset;
  const std::size_t count = RoundUpToPage(size) / PageSize();
  if (system.InMemory(address, size, pages.data()) == 0) {
    const auto there =
        std::count_if(pages.begin(), pages.begin() + static_cast<std::ptrdiff_t>(count),
                      [](unsigned char page) { return (page & 1) != 0; });
    const std::uint64_t missing = (count - static_cast<std::size_t>(there)) * PageSize();
    if (missing > 0) {
      // The whole slice is asked for at once: faults alone would ask for a piece, wait for it, and
      // only then ask for the next.
      static_cast<void>(system.WillNeed(file_.descriptor(), offset, size));
      from_disk_.fetch_add(std::min(missing, size));
    }
  }
  int error;
  do {
    error = system.Advise(address, size, MADV_POPULATE_READ);
  } while (error == EINTR || error == EAGAIN);
  if (error == 0) return;
  if (error == EFAULT) return FailAt(offset, size);
  Touch(offset, size);  // a kernel before 5.14, or one that lacks memory for page tables now
}

void ReadAhead::Touch(std::uint64_t offset, std::uint64_t size) {
  const volatile std::byte* const bytes = file_.address() + offset;
  for (std::uint64_t at = 0; at < size; at += PageSize()) static_cast<void>(bytes[at]);
  if (file_.has_faulted()) FailAt(offset, size);
}

// Reading says where and why, which a fault does not.
void ReadAhead::FailAt(std::uint64_t offset, std::uint64_t size) {
  std::array<char, 4096> bytes;
  for (std::uint64_t at = offset; at < offset + size;) {
    const std::size_t most = std::min<std::uint64_t>(bytes.size(), offset + size - at);
    const ReadOutcome got = file_.system().Read(file_.descriptor(), at, bytes.data(), most);
    if (got.error == EINTR) continue;
    if (got.error != 0) {
      return Fail(at, "the file cannot be read (" + std::generic_category().message(got.error) +
                          "); check the disk, then copy the file again");
    }
    if (got.bytes == 0) {
      return Fail(at,
                  "the file ends here although it was longer when it was opened; "
                  "let nobody write to it while it is in use");
    }
    at += got.bytes;
  }
  Fail(offset, "a page of the file could not be read; check the disk it lies on");
}

void ReadAhead::Fail(std::uint64_t offset, std::string fault) {
  Cancel();
  MutexLock lock(mutex_);
  if (!fault_.empty() && fault_offset_ <= offset) return;
  fault_ = std::move(fault);
  fault_offset_ = offset;
}

bool ReadAhead::Wait(std::chrono::duration<double> most) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                        std::min(std::max(most, most.zero()), kForEver));
  MutexLock lock(mutex_);
  while (running_ > 0 && Clock::now() < until) changed_.WaitUntil(mutex_, until);
  return running_ == 0;
}

bool ReadAhead::is_finished() const {
  MutexLock lock(mutex_);
  return running_ == 0;
}

ReadProgress ReadAhead::progress() const {
  ReadProgress progress;
  progress.done_bytes = done_.load();
  progress.total_bytes = total_;
  progress.from_disk_bytes = from_disk_.load();
  progress.cancelled = cancelled_.load();
  MutexLock lock(mutex_);
  progress.finished = running_ == 0;
  progress.fault = fault_;
  progress.fault_offset = fault_offset_;
  return progress;
}

}  // namespace hearth
