#include "config/config_json.h"

#include <optional>
#include <string>
#include <vector>

#include "config/config_reader.h"

namespace hearth {
namespace {

using nlohmann::json;

template <typename Value>
void Transfer(const json& from, Value& to) {
  to = from.get<Value>();
}
template <typename Value>
void Transfer(const json& from, std::optional<Value>& to) {
  if (from.is_null()) {
    to.reset();
  } else {
    to = from.get<Value>();
  }
}
template <typename Value>
void Transfer(const Value& from, json& to) {
  to = from;
}
template <typename Value>
void Transfer(const std::optional<Value>& from, json& to) {
  if (from) {
    to = *from;
  } else {
    to = nullptr;
  }
}

// Names every member of a Config once; both directions walk it.
template <typename Object, typename Visit>
void VisitMembers(Object& c, Visit visit) {
  visit("/keep_model_in_memory", c.keep_model_in_memory);
  visit("/prewarm_on_startup", c.prewarm_on_startup);
  visit("/max_cached_models", c.max_cached_models);
  visit("/unload_on_exit", c.unload_on_exit);
  visit("/prewarm/models", c.prewarm.models);
  visit("/prewarm/workflows", c.prewarm.workflows);
  visit("/prewarm/dummy_inference", c.prewarm.dummy_inference);
  visit("/budget/ram_gib", c.budget.ram_gib);
  visit("/budget/vram_gib", c.budget.vram_gib);
  visit("/budget/keep_free_ram_gib", c.budget.keep_free_ram_gib);
  visit("/unload/policy", c.unload.policy);
  visit("/unload/idle_seconds", c.unload.idle_seconds);
  visit("/unload/device_idle_seconds", c.unload.device_idle_seconds);
  visit("/oom_fallback", c.oom_fallback);
  visit("/keeper/enabled", c.keeper.enabled);
  visit("/precision/diffusion_model", c.precision.diffusion_model);
  visit("/precision/text_encoder", c.precision.text_encoder);
  visit("/precision/vae", c.precision.vae);
  visit("/queue/max_pending", c.queue.max_pending);
  visit("/queue/prompt_timeout_s", c.queue.prompt_timeout_s);
  visit("/queue/group_by_model", c.queue.group_by_model);
  visit("/queue/max_wait_s", c.queue.max_wait_s);
  visit("/queue/persist", c.queue.persist);
  visit("/transparent", c.transparent);
  visit("/host_tier/enabled", c.host_tier.enabled);
  visit("/engine/numbers", c.engine.numbers);
  visit("/gc_freeze", c.gc_freeze);
  visit("/prefetch/queue_depth", c.prefetch.queue_depth);
  visit("/results/memory_entries", c.results.memory_entries);
  visit("/results/disk_gib", c.results.disk_gib);
  visit("/results/max_age_days", c.results.max_age_days);
  visit("/api/token_env", c.api.token_env);
  visit("/api/allowed_origins", c.api.allowed_origins);
  visit("/log/level", c.log.level);
  visit("/log/trace_loads", c.log.trace_loads);
}

}  // namespace

Config ConfigFromJson(const json& whole) {
  Config config;
  VisitMembers(config, [&whole](const char* pointer, auto& member) {
    Transfer(whole.at(json::json_pointer(pointer)), member);
  });
  return config;
}

std::string ConfigToJson(const Config& config) {
  json whole = json::object();
  VisitMembers(config, [&whole](const char* pointer, const auto& member) {
    Transfer(member, whole[json::json_pointer(pointer)]);
  });
  return whole.dump(2);
}

}  // namespace hearth
