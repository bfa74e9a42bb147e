// How much of which file is to be locked.
#include "keeper/lock_plan.h"

#include <gtest/gtest.h>

namespace hearth {
namespace {

using Plan = std::vector<std::uint64_t>;
constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();

TEST(LockPlanTest, WithoutLimitsEveryFileIsLockedWhole) {
  EXPECT_EQ(PlanLocks({{10}, {20}}, {}), (Plan{10, 20}));
}

TEST(LockPlanTest, ARegisteredFileIsNotLocked) {
  EXPECT_EQ(PlanLocks({{10, true}, {20}}, {}), (Plan{0, 20}));
}

TEST(LockPlanTest, ARegisteredFileCountsInTheBudgetAndNotAsLocked) {
  EXPECT_EQ(PlanLocks({{10, true}, {20}}, {.max_bytes = 25, .most_locked = 20}), (Plan{0, 15}));
}

TEST(LockPlanTest, TheMostWantedGetsTheRoom) {
  EXPECT_EQ(PlanLocks({{10}, {20}, {5}}, {.max_bytes = 15}), (Plan{10, 5, 0}));
  EXPECT_EQ(PlanLocks({{10}, {20}, {5}}, {.max_bytes = {}, .most_locked = 12}), (Plan{10, 2, 0}));
}

TEST(LockPlanTest, NoLimitAtAllOverflowsNothing) {
  EXPECT_EQ(PlanLocks({{kAll}, {kAll}}, {}), (Plan{kAll, 0}));
}

TEST(MostLockedTest, WhatIsMissingOfTheFreeRamIsUnlocked) {
  EXPECT_EQ(MostLocked(50, {.available_bytes = 10, .keep_free_bytes = 30}), 30U);
  EXPECT_EQ(MostLocked(5, {.available_bytes = 10, .keep_free_bytes = 30}), 0U);
}

TEST(MostLockedTest, ScarceRamIsLeftAsItIs) {
  EXPECT_EQ(MostLocked(50, {.available_bytes = 35, .keep_free_bytes = 30, .margin_bytes = 10}),
            50U);
}

TEST(MostLockedTest, FreeRamBeyondTheMarginIsLocked) {
  EXPECT_EQ(MostLocked(50, {.available_bytes = 60, .keep_free_bytes = 30, .margin_bytes = 10}),
            70U);
}

TEST(MostLockedTest, NothingIsRefusedWhereTheFreeRamIsNotKnown) {
  EXPECT_EQ(MostLocked(50, {}), kAll);
}

}  // namespace
}  // namespace hearth
