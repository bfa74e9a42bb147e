// Making room: what a load needs, who has to go for it, and what limits ask for between loads.
#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "cache/model_cache_impl.h"

namespace hearth {
namespace {

std::uint64_t Excess(std::uint64_t used, std::uint64_t limit) {
  return used > limit ? used - limit : 0;
}

std::string Number(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

}  // namespace

TierBytes ModelCache::Impl::SumResident(const Entry* except) const {
  TierBytes sum;
  for (const auto& [key, entry] : residents_) {
    if (entry.get() != except) sum = sum + entry->bytes;
  }
  return sum;
}

TierBytes ModelCache::Impl::SumLingering() const {
  TierBytes sum;
  for (const EntryPtr& entry : lingering_) sum = sum + entry->bytes;
  return sum;
}

std::size_t ModelCache::Impl::CountModels(const Entry* except) const {
  return static_cast<std::size_t>(
      std::count_if(residents_.begin(), residents_.end(), [except](const auto& item) {
        return item.second.get() != except && CountsAsModel(item.first.kind);
      }));
}

// What the limits ask to become free, for `incoming` to join if there is one.
Need ModelCache::Impl::HardNeed(const ModelKey* incoming, const TierBytes& expected,
                                const Entry* except) const {
  const TierBytes resident = SumResident(except);
  Need need;
  if (limits_.max_models) {
    const std::size_t joining = incoming != nullptr && CountsAsModel(incoming->kind) ? 1 : 0;
    // A text encoder that joins is not asked to mend a count it does not change.
    if (incoming == nullptr || joining > 0) {
      need.models = Excess(CountModels(except) + joining, *limits_.max_models);
    }
  }
  if (limits_.max_host_bytes) {
    need.host_bytes = Excess(resident.host() + SumLingering().host() + expected.host(),
                             *limits_.max_host_bytes);
  }
  if (limits_.max_device_bytes) {
    need.device_bytes = Excess(resident.device + SumLingering().device + expected.device,
                               *limits_.max_device_bytes);
  }
  return need;
}

std::string ModelCache::Impl::LimitReason(const Need& need) const {
  if (need.models > 0 && limits_.max_models) {
    return "limit of " + std::to_string(*limits_.max_models) + " models";
  }
  if (need.host_bytes > 0 && limits_.max_host_bytes) {
    return "RAM budget of " + FormatBytes(*limits_.max_host_bytes);
  }
  if (need.device_bytes > 0 && limits_.max_device_bytes) {
    return "VRAM budget of " + FormatBytes(*limits_.max_device_bytes);
  }
  return "limits";
}

std::string ModelCache::Impl::WhoIsInTheWay(const Need& need) const {
  std::string names;
  for (const auto& [key, entry] : residents_) {
    const bool stays = entry->in_use > 0 || pinned_.contains(key);
    if (!stays || (need.models > 0 && !CountsAsModel(key.kind))) continue;
    names += (names.empty() ? "" : ", ") + key.name + (entry->in_use > 0 ? " (in use)" : " (pinned)");
  }
  return names.empty() ? "it is larger than the limit itself" : "nobody can go: " + names;
}

ModelCache::Impl::Entries ModelCache::Impl::EvictFor(const Need& need, const std::string& reason,
                                                     bool partial, const Entry* keep) {
  std::vector<EntryPtr> entries;
  std::vector<EntryView> views;
  for (const auto& [key, entry] : residents_) {
    const bool evictable =
        entry->in_use == 0 && entry.get() != keep && !pinned_.contains(key);
    entries.push_back(entry);
    views.push_back({entry->bytes, entry->last_used, entry->uses, CountsAsModel(key.kind),
                     evictable});
  }
  Entries victims;
  for (const std::size_t index : policy_->ChooseVictims(views, need, clock_->Now(), partial)) {
    victims.push_back(Depart(entries[index], EventKind::kEvicted, reason));
  }
  return victims;
}

// True when models that left the cache, but that workflows still hold, keep the request from fitting.
bool ModelCache::Impl::LingeringIsInTheWay(const ModelKey* incoming, const TierBytes& expected) const {
  MutexLock lock(mutex_);
  const auto old = incoming == nullptr ? residents_.end() : residents_.find(*incoming);
  const Entry* replaced = old == residents_.end() ? nullptr : old->second.get();
  const Need need = HardNeed(incoming, expected, replaced);
  const TierBytes lingering = SumLingering();
  return (need.host_bytes > 0 && lingering.host() > 0) ||
         (need.device_bytes > 0 && lingering.device > 0);
}

Room ModelCache::Impl::Decide(const LoadRequest& request, Entries& victims) {
  if (!limits_.enabled) return {false, "keep_model_in_memory is off"};
  const auto old = residents_.find(request.key);  // its file changed: it goes when this one came
  const Entry* replaced = old == residents_.end() ? nullptr : old->second.get();
  const Need need = HardNeed(&request.key, request.expected, replaced);
  if (need.IsZero()) return {};
  victims = EvictFor(need, LimitReason(need), false, replaced);
  if (!victims.empty()) return {};
  ++counters_.busy;
  return {false, LimitReason(need) + "; " + WhoIsInTheWay(need)};
}

Room ModelCache::Impl::MakeRoom(const LoadRequest& request) {
  if (LingeringIsInTheWay(&request.key, request.expected)) FreeLingering(std::nullopt);
  Entries victims;
  Room room;
  {
    MutexLock lock(mutex_);
    room = Decide(request, victims);
  }
  Release(std::move(victims));
  if (!room.cacheable) return room;
  // Some of the victims may linger; only now are they known to.
  if (LingeringIsInTheWay(&request.key, request.expected)) FreeLingering(std::nullopt);
  EaseRamShortage(request.expected.host(),
                  FormatBytes(request.expected.host()) + " of RAM needed for " + request.key.name,
                  nullptr);
  return room;
}

// Bytes by which free RAM would fall short of `wanted` and what must stay free.
std::uint64_t ModelCache::Impl::RamShortage(std::uint64_t wanted) const {
  if (!probe_) return 0;
  const HostMemory memory = probe_->Read();
  if (memory.total == 0) return 0;
  std::uint64_t keep_free = 0;
  {
    MutexLock lock(mutex_);
    keep_free = limits_.min_free_host_bytes;
  }
  const std::uint64_t needed = CheckedAdd(wanted, keep_free).value_or(memory.total);
  return Excess(needed, memory.available);
}

// Free RAM is no limit of ours to refuse by: what can go goes, and the load is made all the same.
void ModelCache::Impl::EaseRamShortage(std::uint64_t wanted, const std::string& reason,
                                       const Entry* keep) {
  if (RamShortage(wanted) == 0) return;
  FreeLingering(std::nullopt);
  const std::uint64_t shortage = RamShortage(wanted);
  if (shortage == 0) return;
  Entries victims;
  {
    MutexLock lock(mutex_);
    victims = EvictFor({0, shortage, 0}, reason, true, keep);
  }
  if (victims.empty()) return;
  Release(std::move(victims));
  if (RamShortage(wanted) > 0) FreeLingering(std::nullopt);
}

ModelCache::Impl::Entries ModelCache::Impl::EvictExpired(const Entry* keep) {
  if (!limits_.idle_seconds) return {};
  const TimePoint now = clock_->Now();
  Entries expired;
  for (const auto& [key, entry] : residents_) {
    const bool idle = Seconds(now - entry->last_used).count() >= *limits_.idle_seconds;
    if (idle && entry->in_use == 0 && entry.get() != keep && !pinned_.contains(key)) {
      expired.push_back(entry);
    }
  }
  const std::string reason = "idle for " + Number(*limits_.idle_seconds) + " s";
  for (EntryPtr& entry : expired) entry = Depart(entry, EventKind::kEvicted, reason);
  return expired;
}

void ModelCache::Impl::Enforce(const Entry* keep) {
  if (LingeringIsInTheWay(nullptr, {})) FreeLingering(std::nullopt);
  Entries victims;
  std::uint64_t keep_free = 0;
  {
    MutexLock lock(mutex_);
    if (closed_) return;
    victims = EvictExpired(keep);
    const Need need = HardNeed(nullptr, {}, nullptr);
    if (!need.IsZero()) {
      for (EntryPtr& victim : EvictFor(need, LimitReason(need), true, keep)) {
        victims.push_back(std::move(victim));
      }
    }
    keep_free = limits_.min_free_host_bytes;
  }
  Release(std::move(victims));
  EaseRamShortage(0, "free RAM fell below " + FormatBytes(keep_free), keep);
}

TierBytes ModelCache::Impl::Trim(const Need& need, const std::string& reason) {
  Entries victims;
  TierBytes given_up;
  {
    MutexLock lock(mutex_);
    victims = EvictFor(need, reason, true, nullptr);
    for (const EntryPtr& victim : victims) given_up = given_up + victim->bytes;
  }
  Release(std::move(victims));
  return given_up;
}

std::optional<double> ModelCache::Impl::SecondsToNextExpiry() const {
  MutexLock lock(mutex_);
  if (!limits_.idle_seconds) return std::nullopt;
  const TimePoint now = clock_->Now();
  std::optional<double> soonest;
  for (const auto& [key, entry] : residents_) {
    if (entry->in_use > 0 || pinned_.contains(key)) continue;
    const double left = *limits_.idle_seconds - Seconds(now - entry->last_used).count();
    soonest = std::max(0.0, std::min(soonest.value_or(left), left));
  }
  return soonest;
}

}  // namespace hearth
