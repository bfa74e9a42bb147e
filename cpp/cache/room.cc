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

}  // namespace

bool ModelCache::Impl::CanGo(const Entry& entry) const {
  return entry.in_use == 0 && !pinned_.contains(entry.key);
}

// What the limits ask to become free. A guest is not asked to mend a limit it does not touch: a
// text encoder is let in while the count of models is exceeded.
Need ModelCache::Impl::LimitsNeed(const Guest& guest) const {
  const bool anybody = guest.key == nullptr;
  // Its file changed: that one goes when the guest has come, and its place is the guest's.
  const EntryPtr replaced = anybody ? nullptr : FindSlot(*guest.key);
  const Roster::Totals staying = roster_.ResidentTotals(replaced.get());
  const TierBytes used = staying.bytes + roster_.lingering_bytes() + guest.bytes;
  Need need;
  if (limits_.max_models && (anybody || CountsAsModel(guest.key->kind))) {
    const std::size_t joining = anybody ? 0 : 1;
    need.models = Excess(staying.models + joining, *limits_.max_models);
  }
  if (limits_.max_host_bytes && (anybody || guest.bytes.host() > 0)) {
    need.host_bytes = Excess(used.host(), *limits_.max_host_bytes);
  }
  if (limits_.max_device_bytes && (anybody || guest.bytes.device > 0)) {
    need.device_bytes = Excess(used.device, *limits_.max_device_bytes);
  }
  return need;
}

// The policy's victims; nobody when `partial` is false and they do not suffice.
ModelCache::Impl::Entries ModelCache::Impl::Choose(const Guest& guest, const Need& need,
                                                   bool partial) const {
  Entries entries;
  entries.reserve(roster_.residents().size());
  for (const auto& [slot, entry] : roster_.residents()) entries.push_back(entry);
  // In the order of use: a policy takes the first among equals.
  std::sort(entries.begin(), entries.end(),
            [](const EntryPtr& a, const EntryPtr& b) { return a->last_use < b->last_use; });
  const EntryPtr replaced = guest.key == nullptr ? nullptr : FindSlot(*guest.key);
  const TimePoint now = clock_->Now();
  std::vector<EntryView> views;
  views.reserve(entries.size());
  for (const EntryPtr& entry : entries) {
    views.push_back(
        {entry->bytes(), entry->last_used, DecayedUses(entry->recent_uses, now - entry->counted_at),
         CountsAsModel(entry->key.kind), CanGo(*entry) && entry != guest.keep && entry != replaced,
         OwnIdleSeconds(entry->key)});
  }
  Entries victims;
  for (const std::size_t index : policy_->ChooseVictims(views, need, now, partial)) {
    victims.push_back(entries[index]);
  }
  return victims;
}

void ModelCache::Impl::Evict(const Entries& victims, const std::string& reason,
                             Entries& to_release) {
  for (const EntryPtr& victim : victims) {
    Depart(victim, EventKind::kEvicted, reason, to_release);
  }
}

// Whether room can be made if every lingering model lets go; if not, nobody is asked to.
bool ModelCache::Impl::LingeringHelps(const Guest& guest, const Need& need) const {
  const TierBytes& lingering = roster_.lingering_bytes();
  const Need rest{need.models, Excess(need.host_bytes, lingering.host()),
                  Excess(need.device_bytes, lingering.device)};
  if (rest.host_bytes == need.host_bytes && rest.device_bytes == need.device_bytes) return false;
  return guest.key == nullptr || rest.IsZero() || !Choose(guest, rest, false).empty();
}

// Places among the models and memory of the host are made by evicting; when these suffice, or
// nobody can be evicted, memory of a device by demoting.
void ModelCache::Impl::MakeRoom(const Guest& guest, const Need& need, Leaving& leaving) {
  const Need without_device{need.models, need.host_bytes, 0};
  const Need of_device{0, 0, need.device_bytes};
  const Entries victims = without_device.IsZero() ? Entries() : Choose(guest, without_device, true);
  if (victims.empty()) {
    StartDemotion(Choose(guest, of_device, true), LimitReason(of_device), leaving.to_demote);
  } else {
    Evict(victims, LimitReason(need), leaving.to_release);
  }
}

// Evict, demote, ask the lingering, or be done with it; `room` says how it ended.
ModelCache::Impl::Step ModelCache::Impl::NextStep(const Guest& guest, const Tried& tried,
                                                  Leaving& leaving, Room& room) {
  room = {};
  if (!limits_.enabled) {
    room = {false, false, "keep_model_in_memory is off"};
    return Step::kDone;
  }
  const Need need = LimitsNeed(guest);
  if (need.IsZero()) return Step::kDone;
  const bool ask = !tried.asked_lingering && LingeringHelps(guest, need);
  // Victims that linger gave nothing yet; rather than evict more, ask those who hold them.
  if (ask && tried.evicted) return Step::kAskLingering;
  Entries victims = Choose(guest, need, false);
  if (victims.empty() && ask) return Step::kAskLingering;
  if (victims.empty() && guest.key == nullptr) victims = Choose(guest, need, true);
  if (!victims.empty()) {
    MakeRoom(guest, need, leaving);
    return leaving.to_demote.empty() ? Step::kRelease : Step::kDemote;
  }
  if (guest.key != nullptr) {
    ++counters_.busy;
    room = {false, true, Refusal(guest, need)};
  }
  return Step::kDone;
}

// Each round evicts or demotes somebody or asks the lingering for the only time since, so it ends.
Room ModelCache::Impl::FitLimits(const Guest& guest) {
  const bool may_ask = executor_->IsCurrent();
  Tried tried;
  Room room;
  while (true) {
    Step step = Step::kDone;
    Leaving leaving;
    tried.asked_lingering = tried.asked_lingering || !may_ask;
    {
      MutexLock lock(mutex_);
      step = NextStep(guest, tried, leaving, room);
    }
    if (step == Step::kDone) return room;
    if (step == Step::kRelease) {
      Release(std::move(leaving.to_release));
      tried = {true, false};
    } else if (step == Step::kDemote) {
      Demote(std::move(leaving.to_demote));
    } else {
      FreeLingeringNow(std::nullopt);
      tried.asked_lingering = true;
    }
  }
}

// True for one caller at a time, who must then call EndExcessSoon(): a limit is exceeded, as it may
// be since everybody who could have gone was in use or pinned.
bool ModelCache::Impl::ClaimExcess() {
  if (excess_claimed_ || closed_ || !limits_.enabled || LimitsNeed({}).IsZero()) return false;
  excess_claimed_ = true;
  return true;
}

// As a job: handles end one after the other, and the policy is to choose among all that ended.
void ModelCache::Impl::EndExcessSoon() {
  executor_->Post([cache = shared_from_this()] {
    {
      MutexLock lock(cache->mutex_);
      cache->excess_claimed_ = false;
    }
    cache->FitLimits({});
  });
}

// Bytes by which free RAM falls short of `wanted` and of what must stay free.
std::uint64_t ModelCache::Impl::RamShortage(std::uint64_t wanted) const {
  if (!probe_) return 0;
  const HostMemory memory = probe_->Read();
  if (memory.total == 0) return 0;
  MutexLock lock(mutex_);
  // What is being released is as good as free: nobody else has to go for it.
  TierBytes releasing;
  for (const EntryPtr& entry : releasing_) releasing = releasing + entry->bytes();
  const std::uint64_t needed =
      CheckedAdd(wanted, limits_.min_free_host_bytes).value_or(memory.total);
  return Excess(needed, memory.available + releasing.host());
}

// Free RAM is no limit of ours to refuse by: what can go goes, and the load is made all the same.
void ModelCache::Impl::EaseRamShortage(const Guest& guest, const std::string& reason) {
  const std::uint64_t shortage = RamShortage(guest.bytes.host());
  if (shortage == 0) return;
  Entries to_release;
  {
    MutexLock lock(mutex_);
    Evict(Choose(guest, {0, shortage, 0}, true), reason, to_release);
  }
  Release(std::move(to_release));
  if (executor_->IsCurrent() && RamShortage(guest.bytes.host()) > 0) {
    FreeLingeringNow(std::nullopt);
  }
}

void ModelCache::Impl::Enforce() {
  Leaving leaving;
  std::uint64_t keep_free = 0;
  {
    MutexLock lock(mutex_);
    if (closed_) return;
    EndIdleStays(leaving);
    keep_free = limits_.min_free_host_bytes;
  }
  Release(std::move(leaving.to_release));
  Demote(std::move(leaving.to_demote));
  FitLimits({});
  EaseRamShortage({}, "free RAM fell below " + FormatBytes(keep_free));
}

TierBytes ModelCache::Impl::Trim(const Need& need, const std::string& reason) {
  Leaving leaving;
  TierBytes given_up;
  {
    MutexLock lock(mutex_);
    const TierBytes before = roster_.ResidentTotals(nullptr).bytes;
    if (need.models > 0 || need.host_bytes > 0) {
      Evict(Choose({}, need, true), reason, leaving.to_release);
    } else {
      StartDemotion(Choose({}, need, true), reason, leaving.to_demote);
    }
    for (const EntryPtr& victim : leaving.to_release) given_up = given_up + victim->bytes();
    if (!leaving.to_demote.empty()) {
      given_up.device = before.device - roster_.ResidentTotals(nullptr).bytes.device;
    }
  }
  Release(std::move(leaving.to_release));
  Demote(std::move(leaving.to_demote));
  return given_up;
}

}  // namespace hearth
