#include "base/executor.h"

#include <gtest/gtest.h>

#include <thread>

namespace hearth {
namespace {

TEST(InlineExecutorTest, AJobHasRunOnTheCallersThreadWhenPostReturns) {
  InlineExecutor executor;
  std::thread::id ran_on;
  EXPECT_TRUE(executor.IsCurrent());
  EXPECT_TRUE(executor.Post([&ran_on] { ran_on = std::this_thread::get_id(); }));
  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

}  // namespace
}  // namespace hearth
