#include "hosttier/host_file.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace hearth {

const char* ToString(HostFileState state) {
  switch (state) {
    case HostFileState::kUnmapped:
      return "unmapped";
    case HostFileState::kMapped:
      return "mapped";
    case HostFileState::kReading:
      return "reading";
    case HostFileState::kRead:
      return "read";
    case HostFileState::kPoisoned:
      return "poisoned";
  }
  return "unknown";
}

// One thread at a time registers, locks, or undoes that; the others wait for it without holding the
// lock that readers of the state need.
class HostFile::WorkPermit {
 public:
  explicit WorkPermit(HostFile& file) : file_(file) {
    MutexLock lock(file_.mutex_);
    while (file_.working_) file_.idle_.Wait(file_.mutex_);
    file_.working_ = true;
  }
  ~WorkPermit() {
    MutexLock lock(file_.mutex_);
    file_.working_ = false;
    file_.idle_.NotifyAll();
  }
  WorkPermit(const WorkPermit&) = delete;
  WorkPermit& operator=(const WorkPermit&) = delete;

 private:
  HostFile& file_;
};

HostFile::HostFile(std::unique_ptr<MappedFile> file, Parts parts)
    : file_(std::move(file)), parts_(std::move(parts)) {
  const int error = file_->Map();
  if (error == 0) return;
  StepDown("host_map_refused",
           "the file cannot be mapped (" + std::generic_category().message(error) + ")");
}

HostFile::~HostFile() {
  {
    MutexLock lock(mutex_);
    reader_.reset();  // waits for its threads; nobody else can have the lock any more
  }
  Unlock();
  if (registered_.load() > 0) static_cast<void>(file_.release());
}

HostFileState HostFile::state() const {
  LookForFaults();
  MutexLock lock(mutex_);
  if (!poison_.empty()) return HostFileState::kPoisoned;
  if (file_->address() == nullptr) return HostFileState::kUnmapped;
  if (reader_ == nullptr) return HostFileState::kMapped;
  return reader_->is_finished() ? HostFileState::kRead : HostFileState::kReading;
}

void HostFile::Poison(std::uint64_t offset, const std::string& reason) const {
  if (!poison_.empty()) return;
  poison_ = reason;
  poison_offset_ = offset;
}

void HostFile::LookForFaults() const {
  const bool faulted = file_->has_faulted();
  const bool changed = file_->HasChanged();
  const std::shared_ptr<ReadAhead> reader = this->reader();
  const ReadProgress progress = reader ? reader->progress() : ReadProgress{};
  MutexLock lock(mutex_);
  if (!progress.fault.empty()) Poison(progress.fault_offset, progress.fault);
  if (faulted) {
    Poison(0, "the file was cut short or its disk failed while its bytes were in use");
  }
  if (changed) Poison(0, "the file was written to while its bytes were in use");
}

void HostFile::RequireSound() const {
  LookForFaults();
  MutexLock lock(mutex_);
  if (poison_.empty()) return;
  throw CheckpointCorrupt(file_->name(), poison_offset_,
                          file_->name() + ": " + poison_ +
                              ". Replace files by renaming a finished copy over them, then load "
                              "the model again.");
}

std::shared_ptr<ReadAhead> HostFile::reader() const {
  MutexLock lock(mutex_);
  return reader_;
}

void HostFile::StartReadAhead(ReadAheadOptions options) {
  RequireSound();
  if (file_->address() == nullptr) return;
  // More than there is room for would push out what was read first.
  const std::uint64_t wanted = options.max_bytes == 0 ? file_->size() : options.max_bytes;
  options.max_bytes =
      std::min({wanted, file_->size(), std::max<std::uint64_t>(parts_.budget->Room(), PageSize())});
  WorkPermit permit(*this);
  std::shared_ptr<ReadAhead> before = reader();
  if (before != nullptr && !before->is_finished()) {
    if (options.is_urgent) before->Hurry();
    return;
  }
  auto next = std::make_shared<ReadAhead>(*file_, options, parts_.turns);
  MutexLock lock(mutex_);
  reader_.swap(next);
}

bool HostFile::WaitForReadAhead(std::chrono::duration<double> most) {
  const std::shared_ptr<ReadAhead> reader = this->reader();
  const bool done = reader == nullptr || reader->Wait(most);
  RequireSound();
  return done;
}

void HostFile::CancelReadAhead() {
  const std::shared_ptr<ReadAhead> reader = this->reader();
  if (reader == nullptr) return;
  reader->Cancel();
  reader->Wait();
}

ReadProgress HostFile::read_progress() const {
  const std::shared_ptr<ReadAhead> reader = this->reader();
  return reader ? reader->progress() : ReadProgress{};
}

std::uint64_t HostFile::Register(const RegisterRequest& request) {
  RequireSound();
  WorkPermit permit(*this);
  ForgetRefusal();
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t done = 0;
  while (done < request.max_bytes) {
    const std::uint64_t bytes = RegisterSlice(request.max_bytes - done);
    if (bytes == 0) break;
    done += bytes;
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    if (spent.count() >= request.max_seconds) break;
  }
  return done;
}

std::uint64_t HostFile::RegisterSlice(std::uint64_t most) {
  const std::uint64_t offset = registered_.load();
  const std::uint64_t left = file_->size() - offset;
  if (left == 0) return 0;
  const char* const event = "host_register_refused";
  if (file_->address() == nullptr) return StepDown(event, "the file is not mapped"), 0;
  if (parts_.registrar == nullptr) return StepDown(event, "there is no device"), 0;
  // Whole pages, so that the next slice does not share one with this.
  std::uint64_t size = std::min({left, parts_.slice_bytes, RoundUpToPage(std::min(most, left))});
  BringIn(offset, size);
  const std::uint64_t granted = parts_.budget->TakeRegistered(size);
  if (granted < size) {
    parts_.budget->GiveBackRegistered(granted);
    const std::uint64_t keep = parts_.budget->limits().keep_free_bytes;
    StepDown(event, "no RAM is free beside the " + FormatBytes(keep) + " to be kept free");
    return 0;
  }
  const RegisterOutcome outcome = parts_.registrar->Register(file_->address() + offset, size);
  if (!outcome.registered) {
    parts_.budget->GiveBackRegistered(size);
    StepDown(event, outcome.refusal);
    return 0;
  }
  MutexLock lock(mutex_);
  slices_.push_back({offset, size});
  registered_.store(offset + size);
  return size;
}

// Before it is registered: while the driver waits for the disk, the device would wait for the
// driver.
void HostFile::BringIn(std::uint64_t offset, std::uint64_t size) {
  int error;
  do {
    error = file_->system().Advise(file_->address() + offset, size, MADV_POPULATE_READ);
  } while (error == EINTR || error == EAGAIN);
  if (error != EFAULT) return;  // brought in, or left to the driver by an old kernel
  {
    MutexLock lock(mutex_);
    Poison(offset, "a page of the file cannot be read; check the disk it lies on");
  }
  RequireSound();
}

std::uint64_t HostFile::Unregister() {
  WorkPermit permit(*this);
  std::vector<Slice> slices;
  {
    MutexLock lock(mutex_);
    slices.swap(slices_);
    registered_.store(0);
  }
  std::uint64_t bytes = 0;
  for (; !slices.empty(); slices.pop_back()) {
    const Slice& last = slices.back();
    if (!parts_.registrar->Unregister(file_->address() + last.offset)) break;
    parts_.budget->GiveBackRegistered(last.size);
    bytes += last.size;
  }
  if (slices.empty()) return bytes;
  {
    MutexLock lock(mutex_);
    registered_.store(slices.back().offset + slices.back().size);
    slices_ = std::move(slices);
  }
  // After it: what throws here must not make these bytes look unregistered.
  StepDown("host_unregister_refused", "the CUDA driver does not let go of it");
  return bytes;
}

std::uint64_t HostFile::CopyableBytes(std::uint64_t offset) const {
  const std::uint64_t registered = registered_.load();
  if (offset >= registered) return 0;
  if (parts_.registrar->CopiesSpanRanges()) return registered - offset;
  MutexLock lock(mutex_);
  for (const Slice& slice : slices_) {
    if (offset < slice.offset + slice.size) return slice.offset + slice.size - offset;
  }
  return 0;
}

void HostFile::ForgetRefusal() {
  MutexLock lock(mutex_);
  refusal_.clear();
}

std::string HostFile::refusal() const {
  MutexLock lock(mutex_);
  return refusal_;
}

std::uint64_t HostFile::Lock(std::uint64_t max_bytes) {
  RequireSound();
  if (file_->address() == nullptr) return 0;
  WorkPermit permit(*this);
  ForgetRefusal();
  constexpr std::uint64_t kSliceBytes = std::uint64_t{64} << 20;
  std::uint64_t done = 0;
  while (done < max_bytes) {
    const std::uint64_t offset = locked_.load();
    const std::uint64_t left = file_->size() - offset;
    const std::uint64_t size =
        std::min({left, kSliceBytes, RoundUpToPage(std::min(left, max_bytes - done))});
    if (size == 0) break;
    if (parts_.budget->Room() < size) {
      StepDown("host_lock_refused", "no RAM is free beside what is to be kept free");
      break;
    }
    const int error = file_->system().Lock(file_->address() + offset, size);
    if (error != 0) {
      StepDown("host_lock_refused", "locking was refused (" +
                                        std::generic_category().message(error) +
                                        "); raise the limit of locked memory (ulimit -l)");
      break;
    }
    locked_.store(offset + size);
    done += size;
  }
  return done;
}

std::uint64_t HostFile::Unlock() {
  WorkPermit permit(*this);
  const std::uint64_t bytes = locked_.exchange(0);
  if (bytes > 0) file_->system().Unlock(file_->address(), bytes);
  return bytes;
}

void HostFile::StepDown(const char* event, const std::string& reason) {
  {
    MutexLock lock(mutex_);
    refusal_ = reason;
    if (logged_refusal_ == reason) return;
    logged_refusal_ = reason;
  }
  LogInfo(event, {{"file", file_->name()},
                  {"file_system", file_->file_system()},
                  {"registered", FormatBytes(registered_.load())},
                  {"reason", reason}});
}

}  // namespace hearth
