#include "runtime/runtime.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "runtime/global_runtime.h"

namespace hearth {
namespace {

TEST(RuntimeTest, AGoodConfigIsInForceAtOnce) {
  Runtime runtime;
  ASSERT_TRUE(
      runtime.Configure(R"({"max_cached_models": 1, "unload": {"idle_seconds": 9}})", "test"));
  EXPECT_EQ(runtime.cache()->limits().max_models, 1U);
  EXPECT_EQ(runtime.cache()->limits().idle_seconds, 9.0);
  EXPECT_EQ(runtime.config_state().source, "test");
}

TEST(RuntimeTest, ABadConfigLeavesTheOldOneInForceAndIsReported) {
  Runtime runtime;
  ASSERT_TRUE(runtime.Configure(R"({"max_cached_models": 1})", "good"));
  EXPECT_FALSE(runtime.Configure(R"({"max_cached_models": -1})", "bad"));
  EXPECT_EQ(runtime.cache()->limits().max_models, 1U);
  EXPECT_EQ(runtime.config_state().source, "good");
  ASSERT_EQ(runtime.config_state().faults.size(), 1U);
  EXPECT_EQ(runtime.config_state().faults[0].pointer, "/max_cached_models");
}

TEST(RuntimeTest, AMendedConfigClearsTheFaults) {
  Runtime runtime;
  EXPECT_FALSE(runtime.Configure("{", "bad"));
  EXPECT_TRUE(runtime.Configure("{}", "good"));
  EXPECT_TRUE(runtime.config_state().faults.empty());
}

TEST(RuntimeTest, WhatIsNotActedOnIsToldInTheLog) {
  Runtime runtime;
  DrainLog();
  EXPECT_TRUE(runtime.Configure(R"({"queue": {"max_pending": 4}})", "user directory"));
  EXPECT_EQ(runtime.config_state().inert, std::vector<std::string>{"/queue/max_pending"});
  const std::vector<LogLine> lines = DrainLog();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].text.find("/queue/max_pending"), std::string::npos);
}

TEST(RuntimeTest, ComfysHeadroomOutlivesAReload) {
  Runtime runtime;
  runtime.SetActiveHeadroom(std::uint64_t{3} << 30);
  const std::uint64_t before = runtime.cache()->limits().min_free_host_bytes;
  EXPECT_GT(before, 0U);
  runtime.Configure("{}", "test");
  EXPECT_EQ(runtime.cache()->limits().min_free_host_bytes, before);
}

TEST(RuntimeTest, ThereIsOneOfItAProcess) { EXPECT_EQ(&GlobalRuntime(), &GlobalRuntime()); }

TEST(RuntimeTest, ShutdownMayBeSaidTwice) {
  Runtime runtime;
  runtime.Shutdown(true);
  runtime.Shutdown(false);
  EXPECT_FALSE(runtime.executor()->Post([] {}));
}

}  // namespace
}  // namespace hearth
