// How long a model may be idle: in the cache, and on its device.
#include <algorithm>

#include "cache/model_cache_impl.h"

namespace hearth {
namespace {

std::string IdleFor(double seconds) {
  std::string text = std::to_string(seconds);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return "idle for " + text + " s";
}

}  // namespace

std::optional<double> ModelCache::Impl::OwnIdleSeconds(const ModelKey& key) const {
  const auto own = keep_alive_.find(key);
  return own == keep_alive_.end() ? std::nullopt : std::optional(own->second);
}

std::optional<double> ModelCache::Impl::IdleSeconds(const Entry& entry) const {
  const std::optional<double> own = OwnIdleSeconds(entry.key);
  return own ? own : limits_.idle_seconds;
}

std::optional<double> ModelCache::Impl::SecondsLeft(const Entry& entry, TimePoint now) const {
  const std::optional<double> allowed = IdleSeconds(entry);
  if (!allowed || !CanGo(entry)) return std::nullopt;
  return std::max(0.0, *allowed - Seconds(now - entry.last_used).count());
}

// A model with an idle time of its own was asked to be kept: it keeps its device memory as long.
std::optional<double> ModelCache::Impl::DeviceSecondsLeft(const Entry& entry, TimePoint now) const {
  if (!limits_.device_idle_seconds || entry.bytes().device == 0 || !CanGo(entry))
    return std::nullopt;
  const double allowed =
      std::max(*limits_.device_idle_seconds, OwnIdleSeconds(entry.key).value_or(0));
  return std::max(0.0, allowed - Seconds(now - entry.last_used).count());
}

void ModelCache::Impl::EndIdleStays(Leaving& leaving) {
  const TimePoint now = clock_->Now();
  Entries expired;
  Entries cooled;
  for (const auto& [slot, entry] : roster_.residents()) {
    if (SecondsLeft(*entry, now) == 0.0) {
      expired.push_back(entry);
    } else if (DeviceSecondsLeft(*entry, now) == 0.0) {
      cooled.push_back(entry);
    }
  }
  for (const EntryPtr& entry : expired) {
    Evict({entry}, IdleFor(*IdleSeconds(*entry)), leaving.to_release);
  }
  if (!cooled.empty()) {
    StartDemotion(cooled, IdleFor(*limits_.device_idle_seconds), leaving.to_demote);
  }
}

std::optional<double> ModelCache::Impl::SecondsToNextExpiry() const {
  MutexLock lock(mutex_);
  const TimePoint now = clock_->Now();
  std::optional<double> soonest;
  const auto expect = [&soonest](const std::optional<double>& left) {
    if (left) soonest = std::min(soonest.value_or(*left), *left);
  };
  for (const auto& [slot, entry] : roster_.residents()) {
    expect(SecondsLeft(*entry, now));
    expect(DeviceSecondsLeft(*entry, now));
  }
  return soonest;
}

}  // namespace hearth
