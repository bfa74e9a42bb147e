#ifndef HEARTH_RUNTIME_LIMITS_FROM_CONFIG_H_
#define HEARTH_RUNTIME_LIMITS_FROM_CONFIG_H_

#include <cstdint>

#include "cache/model_cache.h"
#include "config/config.h"

namespace hearth {

// The limits a config asks for. `active_headroom` is the free RAM below which ComfyUI drops
// the running prompt's results; it is used, with a margin, where the config leaves
// budget.keep_free_ram_gib to us.
CacheLimits LimitsFromConfig(const Config& config, std::uint64_t active_headroom);

}  // namespace hearth

#endif  // HEARTH_RUNTIME_LIMITS_FROM_CONFIG_H_
