#ifndef HEARTH_KEEPER_KEPT_FILES_H_
#define HEARTH_KEEPER_KEPT_FILES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "hosttier/host_budget.h"
#include "hosttier/mapped_file.h"

namespace hearth {

using ClientId = std::uint64_t;

// What a ComfyUI says of one file that it holds.
struct FileClaim {
  std::string path;
  HostFileIdentity identity;   // as the ComfyUI sees it
  bool is_registered = false;  // with a device, so that its pages cannot be reclaimed anyhow
};

struct Refusal {
  std::string name;  // no folder
  std::string reason;
};

struct KeptFileStats {
  std::string name;
  std::uint64_t size = 0;
  std::uint64_t locked_bytes = 0;
  std::uint64_t clients = 0;  // that hold it now
  bool is_registered = false;
};

struct KeptStats {
  std::vector<KeptFileStats> files;  // the most wanted first
  std::uint64_t locked_bytes = 0;
  HostTierLimits limits;
  std::string advice;  // what keeps the rest from being locked, and what to do; empty: nothing
};

// The files whose pages are kept, and how much of each is locked. A file is locked from the moment
// a client names it, except while a client has it registered, and stays so after the client has
// ended; one that a living client no longer names is let go. When RAM, max_bytes or the limit of
// locked memory do not suffice, those that living clients hold come first, then those used last.
// Nothing is copied and no byte is read by this process: the kernel brings the pages in.
// Not thread-safe.
class KeptFiles {
 public:
  struct Parts {
    std::shared_ptr<const SystemCalls> system;
    std::shared_ptr<const Clock> clock;
    AvailableBytes available;
    std::function<std::optional<std::uint64_t>()> lockable;  // nullopt: no limit
    HostTierLimits limits;
    std::uint64_t slice_bytes = std::uint64_t{16} << 20;    // locked in one go
    std::uint64_t margin_bytes = std::uint64_t{512} << 20;  // see FreeRam
  };
  static constexpr std::size_t kMostFiles = 256;

  explicit KeptFiles(Parts parts);
  ~KeptFiles();
  KeptFiles(const KeptFiles&) = delete;
  KeptFiles& operator=(const KeptFiles&) = delete;

  // All that this client holds from now on. Regular safetensors files only, and only those that are
  // for this process what they are for the client; each other one is refused with the reason.
  // What must be unlocked is unlocked when this returns.
  std::vector<Refusal> Declare(ClientId client, const std::vector<FileClaim>& claims);
  // It has ended: what it held stays, and is locked again.
  void ClientGone(ClientId client);
  // The free RAM asked for at construction remains the least.
  void SetLimits(const HostTierLimits& limits);

  // Unlocks what is too much and locks one more slice; false when there is nothing left to do until
  // something changes. Waits for the disk for as long as one slice takes.
  bool Work();
  // Lets changed and deleted files go and gives way when RAM has become short; for a slow timer.
  void Tidy();
  KeptStats Stats() const;

 private:
  struct Kept;
  using Files = std::vector<std::unique_ptr<Kept>>;

  Kept* Find(const FileClaim& claim) const;
  Kept& Open(const FileClaim& claim);
  Kept& Claim(ClientId client, const FileClaim& claim);
  std::vector<std::uint64_t> Plan();
  void UnlockDownTo(const std::vector<std::uint64_t>& plan);
  bool LockNext();
  bool LockSlice(Kept& kept, std::uint64_t target);
  std::uint64_t LockedBytes() const;
  void MakePlaceForOne();
  template <typename Predicate>
  void LetGo(Predicate is_unwanted, const char* reason);
  std::string Advice() const;

  const Parts parts_;
  HostTierLimits limits_;
  bool has_work_ = false;
  Files files_;  // the most wanted first, since the last Plan()
};

}  // namespace hearth

#endif  // HEARTH_KEEPER_KEPT_FILES_H_
