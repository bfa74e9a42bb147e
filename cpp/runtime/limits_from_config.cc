#include "runtime/limits_from_config.h"

#include <optional>

#include "base/bytes.h"

namespace hearth {
namespace {

// ComfyUI drops results when free RAM falls below its threshold; staying this much above it leaves
// room for what a step allocates between two looks.
constexpr std::uint64_t kMarginBytes = std::uint64_t{512} << 20;

std::optional<std::uint64_t> BytesFromGib(const std::optional<double>& gib) {
  if (!gib) return std::nullopt;
  return GibToBytes(*gib);
}

}  // namespace

CacheLimits LimitsFromConfig(const Config& config, std::uint64_t active_headroom) {
  CacheLimits limits;
  limits.enabled = config.keep_model_in_memory;
  limits.max_models = config.max_cached_models;
  limits.max_host_bytes = BytesFromGib(config.budget.ram_gib);
  limits.max_device_bytes = BytesFromGib(config.budget.vram_gib);
  const std::uint64_t automatic = active_headroom == 0 ? 0 : active_headroom + kMarginBytes;
  limits.min_free_host_bytes = BytesFromGib(config.budget.keep_free_ram_gib).value_or(automatic);
  limits.idle_seconds = config.unload.idle_seconds;
  limits.device_idle_seconds = config.unload.device_idle_seconds;
  return limits;
}

}  // namespace hearth
