#include "hosttier/host_tier.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"

namespace hearth {

class HostTier::Impl {
 public:
  explicit Impl(Parts parts)
      : parts_(std::move(parts)),
        budget_(std::make_shared<HostBudget>(parts_.limits, parts_.available)),
        turns_(std::make_shared<ReadTurns>()) {}

  HostBudget& budget() { return *budget_; }
  HostFileHandle Hold(const std::string& path);
  HostFileHandle Find(std::uint64_t device, std::uint64_t inode);
  std::uint64_t GiveWay(std::uint64_t bytes);
  std::uint64_t ReleaseReplaced();
  std::uint64_t Tidy();
  HostTierStats Stats() const;
  void Shutdown(bool release);

 private:
  struct Record {
    std::shared_ptr<HostFile> file;
    std::shared_ptr<LastUse> use;
    std::weak_ptr<const HostFileHold> hold;  // expired: unheld
    bool is_gone = false;                    // no name leads to these bytes any more
  };
  using Records = std::vector<Record>;  // a handful: looked through, not indexed

  // Asking a file for its state asks the file system, so it is done on a copy and not under the
  // lock.
  Records Snapshot() const HEARTH_EXCLUDES(mutex_);
  Record* RecordOf(const HostFile& file) HEARTH_REQUIRES(mutex_);
  HostFileHandle TakeOrForget(const HostFile& file, bool is_good) HEARTH_EXCLUDES(mutex_);
  HostFileHandle HandleOf(Record& record) HEARTH_REQUIRES(mutex_);
  HostFileHandle Join(const HostFileIdentity& identity) HEARTH_EXCLUDES(mutex_);
  HostFileHandle Insert(std::shared_ptr<HostFile> file) HEARTH_EXCLUDES(mutex_);
  std::shared_ptr<HostFile> TakeVictim(bool only_gone) HEARTH_EXCLUDES(mutex_);
  std::uint64_t MappedBytes() const HEARTH_EXCLUDES(mutex_);
  void RequireOpen() const HEARTH_EXCLUDES(mutex_);
  // Ends the file; REQUIRES: no handle of it, and none can be made.
  static std::uint64_t Release(std::shared_ptr<HostFile> file);

  const Parts parts_;
  const std::shared_ptr<HostBudget> budget_;
  const std::shared_ptr<ReadTurns> turns_;
  mutable Mutex mutex_;
  Records records_ HEARTH_GUARDED_BY(mutex_);
  bool closed_ HEARTH_GUARDED_BY(mutex_) = false;
};

HostFileHandle HostTier::Impl::HandleOf(Record& record) {
  std::shared_ptr<const HostFileHold> hold = record.hold.lock();
  if (hold == nullptr) {
    hold = std::make_shared<const HostFileHold>(HostFileHold{record.file, record.use});
    record.hold = hold;
  }
  record.use->Note();
  return HostFileHandle(std::move(hold));
}

void HostTier::Impl::RequireOpen() const {
  MutexLock lock(mutex_);
  if (closed_) throw CacheClosed("hearth is shutting down; no file is mapped any more.");
}

HostTier::Impl::Records HostTier::Impl::Snapshot() const {
  MutexLock lock(mutex_);
  return records_;
}

HostTier::Impl::Record* HostTier::Impl::RecordOf(const HostFile& file) {
  for (Record& record : records_) {
    if (record.file.get() == &file) return &record;
  }
  return nullptr;
}

HostFileHandle HostTier::Impl::Join(const HostFileIdentity& identity) {
  for (const Record& seen : Snapshot()) {
    if (seen.is_gone || seen.file->file().identity() != identity) continue;
    const HostFileState state = seen.file->state();
    // What could not be mapped then perhaps can now.
    const bool is_worth_another_try = state == HostFileState::kUnmapped && seen.hold.expired();
    const bool is_good = state != HostFileState::kPoisoned && !is_worth_another_try;
    if (HostFileHandle handle = TakeOrForget(*seen.file, is_good)) return handle;
  }
  return {};
}

HostFileHandle HostTier::Impl::TakeOrForget(const HostFile& file, bool is_good) {
  MutexLock lock(mutex_);
  Record* const record = RecordOf(file);
  if (record == nullptr) return {};  // it gave way meanwhile
  if (is_good) return HandleOf(*record);
  record->is_gone = true;
  return {};
}

HostFileHandle HostTier::Impl::Insert(std::shared_ptr<HostFile> file) {
  MutexLock lock(mutex_);
  for (Record& record : records_) {
    if (record.is_gone || record.file->file().identity() != file->file().identity()) continue;
    return HandleOf(record);  // another thread was first; this mapping goes with `file`
  }
  records_.push_back({std::move(file), std::make_shared<LastUse>(parts_.clock), {}});
  return HandleOf(records_.back());
}

HostFileHandle HostTier::Impl::Hold(const std::string& path) {
  RequireOpen();
  auto opened = std::make_unique<MappedFile>(parts_.system, path);
  if (HostFileHandle handle = Join(opened->identity())) return handle;
  const std::optional<std::uint64_t> most = budget_->limits().max_bytes;
  const std::uint64_t after = MappedBytes() + opened->size();
  if (most && after > *most) GiveWay(after - *most);
  return Insert(std::make_shared<HostFile>(
      std::move(opened), HostFile::Parts{parts_.registrar, budget_, turns_, parts_.slice_bytes}));
}

HostFileHandle HostTier::Impl::Find(std::uint64_t device, std::uint64_t inode) {
  for (const Record& seen : Snapshot()) {
    const HostFileIdentity& identity = seen.file->file().identity();
    if (seen.is_gone || identity.device != device || identity.inode != inode) continue;
    const bool is_good = seen.file->state() != HostFileState::kPoisoned;
    if (HostFileHandle handle = TakeOrForget(*seen.file, is_good)) return handle;
  }
  return {};
}

std::shared_ptr<HostFile> HostTier::Impl::TakeVictim(bool only_gone) {
  MutexLock lock(mutex_);
  auto victim = records_.end();
  for (auto record = records_.begin(); record != records_.end(); ++record) {
    if (!record->hold.expired() || (only_gone && !record->is_gone)) continue;
    const bool goes_first =
        victim == records_.end() || record->is_gone > victim->is_gone ||
        (record->is_gone == victim->is_gone && record->use->at() < victim->use->at());
    if (goes_first) victim = record;
  }
  if (victim == records_.end()) return nullptr;
  std::shared_ptr<HostFile> file = std::move(victim->file);
  records_.erase(victim);
  return file;
}

std::uint64_t HostTier::Impl::Release(std::shared_ptr<HostFile> file) {
  const std::uint64_t bytes = file->file().size();
  file->CancelReadAhead();
  file->Unregister();
  LogInfo("host_file_released", {{"file", file->file().name()}, {"size", FormatBytes(bytes)}});
  return bytes;
}

std::uint64_t HostTier::Impl::GiveWay(std::uint64_t bytes) {
  std::uint64_t gone = 0;
  while (gone < bytes) {
    std::shared_ptr<HostFile> victim = TakeVictim(false);
    if (victim == nullptr) break;
    gone += Release(std::move(victim));
  }
  return gone;
}

std::uint64_t HostTier::Impl::ReleaseReplaced() {
  for (const Record& seen : Snapshot()) {
    if (!seen.hold.expired()) continue;
    const bool is_good =
        !seen.file->file().IsReplaced() && seen.file->state() != HostFileState::kPoisoned;
    MutexLock lock(mutex_);
    Record* const record = RecordOf(*seen.file);
    if (record != nullptr) record->is_gone = record->is_gone || !is_good;
  }
  std::uint64_t gone = 0;
  while (std::shared_ptr<HostFile> victim = TakeVictim(true)) gone += Release(std::move(victim));
  return gone;
}

std::uint64_t HostTier::Impl::Tidy() {
  std::uint64_t gone = ReleaseReplaced();
  const std::optional<std::uint64_t> most = budget_->limits().max_bytes;
  const std::uint64_t mapped = MappedBytes();
  if (most && mapped > *most) gone += GiveWay(mapped - *most);
  return gone + GiveWay(budget_->Shortage());
}

std::uint64_t HostTier::Impl::MappedBytes() const {
  MutexLock lock(mutex_);
  std::uint64_t bytes = 0;
  for (const Record& record : records_) bytes += record.file->file().size();
  return bytes;
}

HostTierStats HostTier::Impl::Stats() const {
  HostTierStats stats;
  stats.room_bytes = budget_->Room();
  stats.limits = budget_->limits();
  const Records records = Snapshot();
  std::vector<std::pair<TimePoint, const Record*>> ordered;  // times change while this is sorted
  for (const Record& record : records) ordered.emplace_back(record.use->at(), &record);
  std::sort(ordered.begin(), ordered.end());
  for (const auto& [time, entry] : ordered) {
    const Record& record = *entry;
    const HostFile& file = *record.file;
    stats.mapped_bytes += file.file().size();
    stats.registered_bytes += file.registered_bytes();
    stats.locked_bytes += file.locked_bytes();
    stats.files.push_back({file.file().name(), file.file().identity(), file.state(),
                           file.registered_bytes(), file.locked_bytes(), !record.hold.expired()});
  }
  return stats;
}

void HostTier::Impl::Shutdown(bool release) {
  {
    MutexLock lock(mutex_);
    closed_ = true;
  }
  for (const Record& record : Snapshot()) record.file->CancelReadAhead();
  if (!release) return;
  while (std::shared_ptr<HostFile> victim = TakeVictim(false)) Release(std::move(victim));
}

HostTier::HostTier(Parts parts) : impl_(std::make_unique<Impl>(std::move(parts))) {}
HostTier::~HostTier() = default;

HostFileHandle HostTier::Hold(const std::string& path) { return impl_->Hold(path); }
HostFileHandle HostTier::Find(std::uint64_t device, std::uint64_t inode) {
  return impl_->Find(device, inode);
}
void HostTier::SetLimits(const HostTierLimits& limits) { impl_->budget().SetLimits(limits); }
std::uint64_t HostTier::GiveWay(std::uint64_t bytes) { return impl_->GiveWay(bytes); }
std::uint64_t HostTier::Tidy() { return impl_->Tidy(); }
HostTierStats HostTier::Stats() const { return impl_->Stats(); }
std::uint64_t HostTier::registered_bytes() const { return impl_->budget().registered_bytes(); }
void HostTier::Shutdown(bool release) { impl_->Shutdown(release); }

}  // namespace hearth
