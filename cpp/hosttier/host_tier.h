#ifndef HEARTH_HOSTTIER_HOST_TIER_H_
#define HEARTH_HOSTTIER_HOST_TIER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "hosttier/host_file.h"

namespace hearth {

// When a file was last let go of, or taken.
class LastUse {
 public:
  explicit LastUse(std::shared_ptr<const Clock> clock) : clock_(std::move(clock)) { Note(); }
  void Note() { at_.store(clock_->Now()); }
  TimePoint at() const { return at_.load(); }

 private:
  std::shared_ptr<const Clock> clock_;
  std::atomic<TimePoint> at_{};
};

// What all handles of one file share; its end is the moment from which the file is unheld.
struct HostFileHold {
  std::shared_ptr<HostFile> file;
  std::shared_ptr<LastUse> use;
  ~HostFileHold() { use->Note(); }
};

// Keeps one file of the tier mapped. Move-only; empty after a move. Its end makes no device call
// and frees nothing by itself: an unheld file stays, and is the first to go when room is needed.
class HostFileHandle {
 public:
  HostFileHandle() = default;
  HostFileHandle(HostFileHandle&&) noexcept = default;
  HostFileHandle& operator=(HostFileHandle&&) noexcept = default;

  explicit operator bool() const { return hold_ != nullptr; }
  HostFile& operator*() const { return *hold_->file; }
  HostFile* operator->() const { return hold_->file.get(); }
  // One more handle of the same file.
  HostFileHandle Duplicate() const { return HostFileHandle(hold_); }

 private:
  friend class HostTier;
  explicit HostFileHandle(std::shared_ptr<const HostFileHold> hold) : hold_(std::move(hold)) {}

  std::shared_ptr<const HostFileHold> hold_;
};

struct HostFileStats {
  std::string name;
  HostFileIdentity identity;
  HostFileState state = HostFileState::kMapped;
  std::uint64_t registered_bytes = 0;
  std::uint64_t locked_bytes = 0;
  bool held = false;
};

struct HostTierStats {
  std::uint64_t mapped_bytes = 0;
  std::uint64_t registered_bytes = 0;
  std::uint64_t locked_bytes = 0;
  std::uint64_t room_bytes = 0;  // that may still be registered; the largest number: no limit known
  HostTierLimits limits;
  std::vector<HostFileStats> files;  // least recently used first
};

// The files whose bytes this process has in host memory, each once. Thread-safe.
class HostTier {
 public:
  struct Parts {
    std::shared_ptr<const SystemCalls> system;
    std::shared_ptr<const Clock> clock;
    AvailableBytes available;
    std::shared_ptr<HostRegistrar> registrar;  // nullptr: there is no device
    HostTierLimits limits;
    std::uint64_t slice_bytes = std::uint64_t{256} << 20;
  };

  explicit HostTier(Parts parts);
  ~HostTier();
  HostTier(const HostTier&) = delete;
  HostTier& operator=(const HostTier&) = delete;

  // The file's bytes, mapped now or before. To keep to the limit, unheld files are released first;
  // when that is not enough it is held all the same, since mapped bytes are the system's to take.
  // Throws CheckpointNotFound, CheckpointCorrupt, CacheClosed.
  HostFileHandle Hold(const std::string& path);
  // The sound file with this number that is here; empty when there is none.
  HostFileHandle Find(std::uint64_t device, std::uint64_t inode);

  // Applies from now on; what is too much goes with the next Tidy().
  void SetLimits(const HostTierLimits& limits);
  // Releases unheld files, least recently used first and unsound ones before all, until `bytes` of
  // mappings are gone or none is left; returns how many went. Unregisters, so it may wait for the
  // devices: to be called between prompts.
  std::uint64_t GiveWay(std::uint64_t bytes);
  // GiveWay() for what the limits and the free RAM ask for; returns how many bytes went.
  std::uint64_t Tidy();
  HostTierStats Stats() const;
  // Of all files; takes no lock that is held while reading or registering.
  std::uint64_t registered_bytes() const;

  // Ends reading; nothing is held any more. `release`: unheld files are released; otherwise, and
  // for held ones, that is left to the end of the process. Idempotent.
  void Shutdown(bool release);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth

#endif  // HEARTH_HOSTTIER_HOST_TIER_H_
