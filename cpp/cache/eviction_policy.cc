#include "cache/eviction_policy.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/error.h"

namespace hearth {
namespace {

constexpr double kHalfLifeSeconds = 600;

// What one entry, or all victims together, would give.
Need GivenBy(const EntryView& entry) {
  return {entry.counts_as_model ? std::size_t{1} : 0, entry.bytes.host(), entry.bytes.device};
}

Need operator+(const Need& a, const Need& b) {
  return {a.models + b.models, a.host_bytes + b.host_bytes, a.device_bytes + b.device_bytes};
}

// REQUIRES: b is a part of a.
Need operator-(const Need& a, const Need& b) {
  return {a.models - b.models, a.host_bytes - b.host_bytes, a.device_bytes - b.device_bytes};
}

bool Meets(const Need& given, const Need& need) {
  return given.models >= need.models && given.host_bytes >= need.host_bytes &&
         given.device_bytes >= need.device_bytes;
}

// Whether the entry gives something that is still lacking.
bool Helps(const Need& gift, const Need& given, const Need& need) {
  return (given.models < need.models && gift.models > 0) ||
         (given.host_bytes < need.host_bytes && gift.host_bytes > 0) ||
         (given.device_bytes < need.device_bytes && gift.device_bytes > 0);
}

// Takes entries in the given order until the need is met, then lets those stay that a later, larger
// one made needless; the most valuable first.
std::vector<std::size_t> TakeInOrder(std::span<const EntryView> entries,
                                     const std::vector<std::size_t>& order, const Need& need,
                                     bool partial) {
  std::vector<std::size_t> victims;
  Need given;
  for (const std::size_t index : order) {
    if (Meets(given, need)) break;
    const Need gift = GivenBy(entries[index]);
    if (!Helps(gift, given, need)) continue;
    victims.push_back(index);
    given = given + gift;
  }
  if (!Meets(given, need)) return partial ? victims : std::vector<std::size_t>();
  const auto needless = [&](std::size_t index) {
    const Need without = given - GivenBy(entries[index]);
    if (!Meets(without, need)) return false;
    given = without;
    return true;
  };
  const auto spared = std::remove_if(victims.rbegin(), victims.rend(), needless);
  victims.erase(victims.begin(), spared.base());
  return victims;
}

// The evictable entries, lowest rank first.
template <typename Rank>
std::vector<std::size_t> Order(std::span<const EntryView> entries, Rank rank) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].evictable) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return rank(entries[a]) < rank(entries[b]);
  });
  return order;
}

class LruPolicy final : public EvictionPolicy {
 public:
  std::string_view name() const override { return "lru"; }
  std::vector<std::size_t> ChooseVictims(std::span<const EntryView> entries, const Need& need,
                                         TimePoint, bool partial) const override {
    return TakeInOrder(entries, Order(entries, [](const EntryView& e) { return e.last_used; }),
                       need, partial);
  }
};

// Least frequently used, counting recent uses more; the least recently used among equals.
class LfuPolicy final : public EvictionPolicy {
 public:
  std::string_view name() const override { return "lfu"; }
  std::vector<std::size_t> ChooseVictims(std::span<const EntryView> entries, const Need& need,
                                         TimePoint, bool partial) const override {
    const auto rank = [](const EntryView& e) { return std::make_pair(e.recent_uses, e.last_used); };
    return TakeInOrder(entries, Order(entries, rank), need, partial);
  }
};

// Only what has been idle long enough, by its own measure if it has one; the least recently used of
// those first.
class IdlePolicy final : public EvictionPolicy {
 public:
  explicit IdlePolicy(double idle_seconds) : idle_seconds_(idle_seconds) {}
  std::string_view name() const override { return "idle"; }
  std::vector<std::size_t> ChooseVictims(std::span<const EntryView> entries, const Need& need,
                                         TimePoint now, bool partial) const override {
    std::vector<std::size_t> order = Order(entries, [](const EntryView& e) { return e.last_used; });
    std::erase_if(order, [&](std::size_t index) {
      const EntryView& entry = entries[index];
      const double wanted = entry.idle_seconds.value_or(idle_seconds_);
      return Seconds(now - entry.last_used).count() < wanted;
    });
    return TakeInOrder(entries, order, need, partial);
  }

 private:
  double idle_seconds_;
};

class NoEvictionPolicy final : public EvictionPolicy {
 public:
  std::string_view name() const override { return "noeviction"; }
  std::vector<std::size_t> ChooseVictims(std::span<const EntryView>, const Need&, TimePoint,
                                         bool) const override {
    return {};
  }
};

}  // namespace

double DecayedUses(double uses, Seconds age) {
  return uses * std::exp2(-std::max(0.0, age.count()) / kHalfLifeSeconds);
}

std::unique_ptr<EvictionPolicy> MakeEvictionPolicy(std::string_view name,
                                                   std::optional<double> idle_seconds) {
  if (name == "lru") return std::make_unique<LruPolicy>();
  if (name == "lfu") return std::make_unique<LfuPolicy>();
  if (name == "noeviction") return std::make_unique<NoEvictionPolicy>();
  if (name == "idle") {
    if (!idle_seconds) {
      throw ConfigError("/unload/idle_seconds", "the policy idle needs unload.idle_seconds");
    }
    return std::make_unique<IdlePolicy>(*idle_seconds);
  }
  throw ConfigError("/unload/policy",
                    "unload.policy must be lru, lfu, idle or noeviction, not " + std::string(name));
}

}  // namespace hearth
