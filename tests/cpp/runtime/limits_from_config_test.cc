#include "runtime/limits_from_config.h"

#include <gtest/gtest.h>

namespace hearth {
namespace {

constexpr std::uint64_t kGib = std::uint64_t{1} << 30;

TEST(LimitsFromConfigTest, TheFourKeysKeepTheirMeaning) {
  Config config;
  config.keep_model_in_memory = false;
  config.max_cached_models = 7;
  const CacheLimits limits = LimitsFromConfig(config, 0);
  EXPECT_FALSE(limits.enabled);
  EXPECT_EQ(limits.max_models, 7U);
}

TEST(LimitsFromConfigTest, BudgetsInGibBecomeBytes) {
  Config config;
  config.budget.ram_gib = 1.5;
  config.budget.vram_gib = 2;
  const CacheLimits limits = LimitsFromConfig(config, 0);
  EXPECT_EQ(limits.max_host_bytes, kGib + kGib / 2);
  EXPECT_EQ(limits.max_device_bytes, 2 * kGib);
}

TEST(LimitsFromConfigTest, AnAutomaticBudgetStaysAboveComfysHeadroom) {
  const CacheLimits limits = LimitsFromConfig(Config(), 2 * kGib);
  EXPECT_GT(limits.min_free_host_bytes, 2 * kGib);
}

TEST(LimitsFromConfigTest, AFreeRamGivenByTheUserWins) {
  Config config;
  config.budget.keep_free_ram_gib = 1;
  EXPECT_EQ(LimitsFromConfig(config, 4 * kGib).min_free_host_bytes, kGib);
}

}  // namespace
}  // namespace hearth
