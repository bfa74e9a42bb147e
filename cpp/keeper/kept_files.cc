#include "keeper/kept_files.h"

#include <algorithm>
#include <numeric>
#include <system_error>
#include <tuple>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "checkpoint/checkpoint_file.h"
#include "checkpoint/safetensors_index.h"
#include "keeper/lock_plan.h"
#include "keeper/memlock.h"

namespace hearth {
namespace {

std::uint64_t SumOf(const std::vector<std::uint64_t>& bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0});
}

}  // namespace

struct KeptFiles::Kept {
  std::unique_ptr<MappedFile> file;
  TimePoint used{};
  std::uint64_t locked = 0;  // from the beginning on; whole pages
  std::set<ClientId> holders;
  std::set<ClientId> registrars;
  std::string stalled;  // why it could not be locked; looked at again with the next Tidy()

  std::uint64_t pages_bytes() const { return RoundUpToPage(file->size()); }
  auto rank() const { return std::tuple(!holders.empty(), used); }
};

KeptFiles::KeptFiles(Parts parts) : parts_(std::move(parts)), limits_(parts_.limits) {}
KeptFiles::~KeptFiles() = default;  // what is unmapped is unlocked

KeptFiles::Kept* KeptFiles::Find(const FileClaim& claim) const {
  for (const auto& kept : files_) {
    if (kept->file->identity() == claim.identity) return kept.get();
  }
  return nullptr;
}

KeptFiles::Kept& KeptFiles::Open(const FileClaim& claim) {
  // Only what is checked to be a model is locked, so that nobody has RAM filled with just anything.
  SafetensorsIndex::ReadFile(claim.path);
  auto file = std::make_unique<MappedFile>(parts_.system, claim.path);
  if (file->identity() != claim.identity) {
    throw CheckpointCorrupt(file->name(), 0,
                            file->name() +
                                ": the name leads to another file here than at the sender, or it "
                                "has changed; share the folder, or declare it again.");
  }
  if (const int error = file->Map(); error != 0) {
    throw CheckpointCorrupt(file->name(), 0,
                            file->name() + ": the file cannot be mapped (" +
                                std::generic_category().message(error) + ").");
  }
  MakePlaceForOne();
  auto kept = std::make_unique<Kept>();
  kept->file = std::move(file);
  LogInfo("file_kept", {{"file", kept->file->name()}, {"size", FormatBytes(kept->file->size())}});
  files_.push_back(std::move(kept));
  return *files_.back();
}

void KeptFiles::MakePlaceForOne() {
  if (files_.size() < kMostFiles) return;
  const auto least =
      std::min_element(files_.begin(), files_.end(),
                       [](const auto& a, const auto& b) { return a->rank() < b->rank(); });
  if (!(*least)->holders.empty()) {
    throw Error("no more than " + std::to_string(kMostFiles) + " files are kept.");
  }
  files_.erase(least);
}

KeptFiles::Kept& KeptFiles::Claim(ClientId client, const FileClaim& claim) {
  Kept* const known = Find(claim);
  Kept& kept = known != nullptr ? *known : Open(claim);
  const bool is_new = kept.holders.insert(client).second;
  const bool was_registered = kept.registrars.count(client) > 0;
  if (is_new || was_registered != claim.is_registered) kept.used = parts_.clock->Now();
  if (claim.is_registered) {
    kept.registrars.insert(client);
  } else {
    kept.registrars.erase(client);
  }
  return kept;
}

std::vector<Refusal> KeptFiles::Declare(ClientId client, const std::vector<FileClaim>& claims) {
  std::set<const Kept*> named;
  std::vector<Refusal> refusals;
  for (const FileClaim& claim : claims) {
    try {
      named.insert(&Claim(client, claim));
    } catch (const Error& error) {
      refusals.push_back({DisplayName(claim.path), error.what()});
    }
  }
  // Who lives and no longer holds a file has evicted it: to keep it would undo that.
  LetGo(
      [&](Kept& kept) {
        if (named.count(&kept) > 0 || kept.holders.erase(client) == 0) return false;
        kept.registrars.erase(client);
        return kept.holders.empty();
      },
      "no ComfyUI holds it any more");
  UnlockDownTo(Plan());
  has_work_ = true;
  return refusals;
}

void KeptFiles::ClientGone(ClientId client) {
  for (const auto& kept : files_) {
    kept->registrars.erase(client);
    if (kept->holders.erase(client) > 0) kept->used = parts_.clock->Now();
  }
}

void KeptFiles::SetLimits(const HostTierLimits& limits) {
  limits_ = limits;
  limits_.keep_free_bytes = std::max(limits.keep_free_bytes, parts_.limits.keep_free_bytes);
}

template <typename Predicate>
void KeptFiles::LetGo(Predicate is_unwanted, const char* reason) {
  std::erase_if(files_, [&](const std::unique_ptr<Kept>& kept) {
    if (!is_unwanted(*kept)) return false;
    LogInfo("file_let_go", {{"file", kept->file->name()}, {"reason", reason}});
    return true;
  });
}

std::uint64_t KeptFiles::LockedBytes() const {
  std::uint64_t bytes = 0;
  for (const auto& kept : files_) bytes += kept->locked;
  return bytes;
}

std::vector<std::uint64_t> KeptFiles::Plan() {
  std::stable_sort(files_.begin(), files_.end(),
                   [](const auto& a, const auto& b) { return a->rank() > b->rank(); });
  std::vector<PlannedFile> files;
  for (const auto& kept : files_) files.push_back({kept->pages_bytes(), !kept->registrars.empty()});
  const FreeRam ram{parts_.available(), limits_.keep_free_bytes, parts_.margin_bytes};
  const std::uint64_t by_ram = MostLocked(LockedBytes(), ram);
  const std::uint64_t by_limit = parts_.lockable().value_or(by_ram);
  std::vector<std::uint64_t> plan =
      PlanLocks(files, {limits_.max_bytes, std::min(by_ram, by_limit)});
  for (std::uint64_t& bytes : plan) bytes -= bytes % PageSize();
  return plan;
}

void KeptFiles::UnlockDownTo(const std::vector<std::uint64_t>& plan) {
  for (std::size_t i = 0; i < plan.size(); ++i) {
    Kept& kept = *files_[i];
    if (kept.locked <= plan[i]) continue;
    parts_.system->Unlock(kept.file->address() + plan[i], kept.locked - plan[i]);
    kept.locked = plan[i];
  }
}

bool KeptFiles::LockSlice(Kept& kept, std::uint64_t target) {
  const std::uint64_t size = std::min(target - kept.locked, parts_.slice_bytes);
  const std::byte* const begin = kept.file->address() + kept.locked;
  if (const int error = parts_.system->Lock(begin, size); error != 0) {
    // The kernel may have locked what came before the page that it could not bring in.
    parts_.system->Unlock(begin, size);
    kept.stalled = std::generic_category().message(error);
    LogWarning("file_not_locked", {{"file", kept.file->name()},
                                   {"locked", FormatBytes(kept.locked)},
                                   {"reason", kept.stalled}});
    return false;
  }
  kept.locked += size;
  return true;
}

bool KeptFiles::Work() {
  has_work_ = LockNext();
  return has_work_;
}

bool KeptFiles::LockNext() {
  const std::vector<std::uint64_t> plan = Plan();
  UnlockDownTo(plan);
  for (std::size_t i = 0; i < plan.size(); ++i) {
    Kept& kept = *files_[i];
    if (kept.locked < plan[i] && kept.stalled.empty() && LockSlice(kept, plan[i])) return true;
  }
  return false;
}

void KeptFiles::Tidy() {
  LetGo([](const Kept& kept) { return kept.file->IsReplaced() || kept.file->HasChanged(); },
        "it was deleted, replaced or written to");
  for (const auto& kept : files_) kept->stalled.clear();
  UnlockDownTo(Plan());
}

std::string KeptFiles::Advice() const {
  std::vector<PlannedFile> now;
  std::vector<PlannedFile> at_most;  // when no ComfyUI has any of them registered
  for (const auto& kept : files_) {
    now.push_back({kept->pages_bytes(), !kept->registrars.empty()});
    at_most.push_back({kept->pages_bytes(), false});
  }
  const std::uint64_t needed = SumOf(PlanLocks(at_most, {limits_.max_bytes}));
  const std::optional<std::uint64_t> lockable = parts_.lockable();
  if (lockable && *lockable < needed) return MemlockAdvice(needed, *lockable);
  for (const auto& kept : files_) {
    if (kept->stalled.empty()) continue;
    return kept->file->name() + ": its pages cannot be locked (" + kept->stalled +
           "); look at the disk it lies on.";
  }
  const std::uint64_t wanted = SumOf(PlanLocks(now, {limits_.max_bytes}));
  if (has_work_ || LockedBytes() >= wanted - wanted % PageSize()) return "";
  return "RAM does not suffice to lock the rest beside what is to be kept free.";
}

KeptStats KeptFiles::Stats() const {
  KeptStats stats{.files = {}, .locked_bytes = 0, .limits = limits_, .advice = Advice()};
  for (const auto& kept : files_) {
    const std::uint64_t size = kept->file->size();  // of the last page only what is the file's
    const std::uint64_t locked = std::min(kept->locked, size);
    stats.locked_bytes += locked;
    stats.files.push_back(
        {kept->file->name(), size, locked, kept->holders.size(), !kept->registrars.empty()});
  }
  return stats;
}

}  // namespace hearth
