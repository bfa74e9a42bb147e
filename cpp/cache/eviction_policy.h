#ifndef HEARTH_CACHE_EVICTION_POLICY_H_
#define HEARTH_CACHE_EVICTION_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "model/tier_bytes.h"

namespace hearth {

// One resident model, as a policy sees it.
struct EntryView {
  TierBytes bytes;
  TimePoint last_used;
  double recent_uses = 0;              // strong uses, old ones counting less: see DecayedUses
  bool counts_as_model = true;         // against max_models
  bool evictable = true;               // neither in use nor pinned
  std::optional<double> idle_seconds;  // its own, in place of the policy's
};

// What `uses` are worth after `age`: half every ten minutes, so that what was busy yesterday does
// not outlast what is busy now.
double DecayedUses(double uses, Seconds age);

// What has to become free. Zero everywhere: nothing.
struct Need {
  std::size_t models = 0;
  std::uint64_t host_bytes = 0;
  std::uint64_t device_bytes = 0;
  constexpr bool IsZero() const { return models == 0 && host_bytes == 0 && device_bytes == 0; }
};

// Decides who goes, and touches nothing. Pure: same arguments, same answer.
class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;
  virtual std::string_view name() const = 0;
  // Indices into `entries`, in the order in which they should go. Only evictable entries, and none
  // that could stay with `need` still met. When the need cannot be met in full the answer is the
  // best that can be done if `partial`, else empty: nobody is evicted in vain. Among equals the
  // entry that stands first in `entries` goes first.
  virtual std::vector<std::size_t> ChooseVictims(std::span<const EntryView> entries,
                                                 const Need& need, TimePoint now,
                                                 bool partial) const = 0;
};

// "lru", "lfu" (least recent_uses), "idle" (only entries idle for idle_seconds),
// "noeviction" (nobody, ever). Throws ConfigError for any other word. `idle_seconds` is used by
// "idle" alone.
std::unique_ptr<EvictionPolicy> MakeEvictionPolicy(std::string_view name,
                                                   std::optional<double> idle_seconds);

}  // namespace hearth

#endif  // HEARTH_CACHE_EVICTION_POLICY_H_
