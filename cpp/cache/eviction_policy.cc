#include "cache/eviction_policy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "base/error.h"

namespace hearth {
namespace {

constexpr double kLfuHalfLifeSeconds = 600;

template <typename Number>
void Subtract(Number& from, Number amount) {
  from -= std::min(from, amount);
}

bool Helps(const EntryView& entry, const Need& need) {
  return (need.models > 0 && entry.counts_as_model) ||
         (need.host_bytes > 0 && entry.bytes.host() > 0) ||
         (need.device_bytes > 0 && entry.bytes.device > 0);
}

// Takes entries in the given order until the need is met; one that would not help stays.
std::vector<std::size_t> TakeInOrder(std::span<const EntryView> entries,
                                     const std::vector<std::size_t>& order, Need need,
                                     bool partial) {
  std::vector<std::size_t> victims;
  for (const std::size_t index : order) {
    if (need.IsZero()) break;
    const EntryView& entry = entries[index];
    if (!Helps(entry, need)) continue;
    victims.push_back(index);
    if (entry.counts_as_model) Subtract<std::size_t>(need.models, 1);
    Subtract(need.host_bytes, entry.bytes.host());
    Subtract(need.device_bytes, entry.bytes.device);
  }
  if (!need.IsZero() && !partial) victims.clear();
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

// Least frequently used, where a use counts half after ten minutes: what was busy yesterday must
// not outlast what is busy now.
class LfuPolicy final : public EvictionPolicy {
 public:
  std::string_view name() const override { return "lfu"; }
  std::vector<std::size_t> ChooseVictims(std::span<const EntryView> entries, const Need& need,
                                         TimePoint now, bool partial) const override {
    const auto rank = [now](const EntryView& entry) {
      const double idle = Seconds(now - entry.last_used).count();
      const double weight = static_cast<double>(entry.uses) * std::exp2(-idle / kLfuHalfLifeSeconds);
      return std::make_pair(weight, entry.last_used);
    };
    return TakeInOrder(entries, Order(entries, rank), need, partial);
  }
};

// Only what has been idle long enough; the least recently used of those first.
class IdlePolicy final : public EvictionPolicy {
 public:
  explicit IdlePolicy(double idle_seconds) : idle_seconds_(idle_seconds) {}
  std::string_view name() const override { return "idle"; }
  std::vector<std::size_t> ChooseVictims(std::span<const EntryView> entries, const Need& need,
                                         TimePoint now, bool partial) const override {
    std::vector<std::size_t> order =
        Order(entries, [](const EntryView& e) { return e.last_used; });
    std::erase_if(order, [&](std::size_t index) {
      return Seconds(now - entries[index].last_used).count() < idle_seconds_;
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
  throw ConfigError("/unload/policy", "unload.policy must be lru, lfu, idle or noeviction, not " +
                                          std::string(name));
}

}  // namespace hearth
