#include "runtime/queue_executor.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace hearth {
namespace {

TEST(QueueExecutorTest, JobsRunInTheOrderTheyWerePosted) {
  QueueExecutor executor;
  std::vector<int> order;
  for (int i = 0; i < 3; ++i) executor.Post([&order, i] { order.push_back(i); });
  EXPECT_TRUE(order.empty());
  EXPECT_EQ(executor.RunPending(), 3U);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
}

TEST(QueueExecutorTest, NoThreadIsCurrentBeforeOneWasAdopted) {
  QueueExecutor executor;
  EXPECT_FALSE(executor.IsCurrent());
  executor.AdoptCurrentThread();
  EXPECT_TRUE(executor.IsCurrent());
  bool elsewhere = true;
  std::thread([&] { elsewhere = executor.IsCurrent(); }).join();
  EXPECT_FALSE(elsewhere);
}

TEST(QueueExecutorTest, EveryPostWakesTheOwnerAfterTheJobIsQueued) {
  QueueExecutor executor;
  std::vector<bool> pending_when_woken;
  executor.SetWake([&] { pending_when_woken.push_back(executor.has_pending()); });
  executor.Post([] {});
  executor.Post([] {});
  EXPECT_EQ(pending_when_woken, (std::vector<bool>{true, true}));
}

TEST(QueueExecutorTest, AFailingJobEndsOnlyItself) {
  QueueExecutor executor;
  bool second_ran = false;
  executor.Post([] { throw std::runtime_error("broken"); });
  executor.Post([&] { second_ran = true; });
  EXPECT_EQ(executor.RunPending(), 2U);
  EXPECT_TRUE(second_ran);
}

TEST(QueueExecutorTest, ASpentBudgetLeavesTheRestForLater) {
  QueueExecutor executor;
  int ran = 0;
  executor.Post([&] { ++ran; });
  executor.Post([&] { ++ran; });
  EXPECT_EQ(executor.RunPending(0.0), 1U);  // one at least, or nothing would ever get done
  EXPECT_TRUE(executor.has_pending());
  EXPECT_EQ(executor.RunPending(), 1U);
  EXPECT_EQ(ran, 2);
}

TEST(QueueExecutorTest, AJobMayPostAnother) {
  QueueExecutor executor;
  bool inner_ran = false;
  executor.Post([&] { executor.Post([&] { inner_ran = true; }); });
  executor.RunPending();
  EXPECT_TRUE(inner_ran);
}

TEST(QueueExecutorTest, AClosedExecutorRefusesAndDropsWhatItOwns) {
  QueueExecutor executor;
  auto owned = std::make_shared<int>(1);
  executor.Post([owned] {});
  executor.Close();
  EXPECT_EQ(owned.use_count(), 1);
  EXPECT_FALSE(executor.Post([] {}));
  EXPECT_EQ(executor.RunPending(), 0U);
}

}  // namespace
}  // namespace hearth
