// Why somebody had to go, or had to stay outside, in words for people.
#include "base/bytes.h"
#include "cache/model_cache_impl.h"

namespace hearth {

std::string ModelCache::Impl::LimitReason(const Need& need) const {
  if (need.models > 0 && limits_.max_models) {
    return "limit of " + std::to_string(*limits_.max_models) +
           (*limits_.max_models == 1 ? " model" : " models");
  }
  if (need.host_bytes > 0 && limits_.max_host_bytes) {
    return "RAM budget of " + FormatBytes(*limits_.max_host_bytes);
  }
  return "VRAM budget of " + FormatBytes(limits_.max_device_bytes.value_or(0));
}

std::string ModelCache::Impl::Refusal(const Guest& guest, const Need& need) const {
  const std::string limit = LimitReason(need);
  const bool alone_too_large =
      (need.models > 0 && *limits_.max_models == 0) ||
      (need.host_bytes > 0 && guest.bytes.host() > *limits_.max_host_bytes) ||
      (need.device_bytes > 0 && guest.bytes.device > *limits_.max_device_bytes);
  if (alone_too_large) return limit + ", and this model alone is more than that";
  std::string names;
  const auto add = [&names](const ModelKey& key, const char* why) {
    names += (names.empty() ? "" : ", ") + key.name + why;
  };
  for (const auto& [slot, entry] : roster_.residents()) {
    if (need.models > 0 && !CountsAsModel(entry->key.kind)) continue;
    if (entry->in_use > 0) {
      add(entry->key, " (in use)");
    } else if (pinned_.contains(entry->key)) {
      add(entry->key, " (pinned)");
    }
  }
  for (const EntryPtr& entry : roster_.lingering()) {
    if (need.models == 0) add(entry->key, " (held by a workflow)");
  }
  if (!names.empty()) return limit + ", and nobody can go: " + names;
  return limit + ", and the policy " + std::string(policy_->name()) + " lets nobody go";
}

}  // namespace hearth
