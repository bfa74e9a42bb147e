#ifndef HEARTH_CONFIG_CONFIG_H_
#define HEARTH_CONFIG_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hearth {

struct PrewarmConfig {
  std::vector<std::string> models;
  std::vector<std::string> workflows;
  bool dummy_inference = true;
};

struct BudgetConfig {
  std::optional<double> ram_gib;
  std::optional<double> vram_gib;
  std::optional<double> keep_free_ram_gib;
};

struct UnloadConfig {
  std::string policy = "lru";
  std::optional<double> idle_seconds;
  std::optional<double> device_idle_seconds;
};

struct KeeperConfig {
  bool enabled = false;
};

struct PrecisionConfig {
  std::string diffusion_model = "as_stock";
  std::string text_encoder = "as_stock";
  std::string vae = "as_stock";
};

struct QueueConfig {
  std::optional<std::uint64_t> max_pending;
  std::optional<double> prompt_timeout_s;
  bool group_by_model = false;
  double max_wait_s = 60;
  bool persist = false;
};

struct HostTierConfig {
  bool enabled = true;
};

struct EngineConfig {
  std::string numbers = "fast";
};

struct PrefetchConfig {
  std::uint64_t queue_depth = 2;
};

struct ResultsConfig {
  std::uint64_t memory_entries = 32;
  double disk_gib = 0;
  double max_age_days = 7;
};

struct ApiConfig {
  std::optional<std::string> token_env;
  std::vector<std::string> allowed_origins;
};

struct LogConfig {
  std::string level = "info";
  bool trace_loads = true;
};

// The configuration as a value. What each member means, its unit and its bounds stand in
// config/schema.json; a test compares the defaults here with those there.
struct Config {
  bool keep_model_in_memory = true;
  bool prewarm_on_startup = true;
  std::optional<std::uint64_t> max_cached_models = 3;
  bool unload_on_exit = false;
  PrewarmConfig prewarm;
  BudgetConfig budget;
  UnloadConfig unload;
  std::string oom_fallback = "off";
  KeeperConfig keeper;
  PrecisionConfig precision;
  QueueConfig queue;
  bool transparent = true;
  HostTierConfig host_tier;
  EngineConfig engine;
  bool gc_freeze = true;
  PrefetchConfig prefetch;
  ResultsConfig results;
  ApiConfig api;
  LogConfig log;
};

}  // namespace hearth

#endif  // HEARTH_CONFIG_CONFIG_H_
