#include "base/mutex.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace hearth {
namespace {

struct Counter {
  Mutex mutex;
  int value HEARTH_GUARDED_BY(mutex) = 0;
};

TEST(MutexTest, ThreadsTakeTurns) {
  constexpr int kThreads = 8;
  constexpr int kTurns = 2000;
  Counter counter;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&counter] {
      for (int turn = 0; turn < kTurns; ++turn) {
        MutexLock lock(counter.mutex);
        ++counter.value;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  MutexLock lock(counter.mutex);
  EXPECT_EQ(counter.value, kThreads * kTurns);
}

TEST(CondVarTest, AWaiterSeesWhatWasChangedBeforeItWasWoken) {
  Mutex mutex;
  CondVar changed;
  int stage = 0;
  std::thread other([&] {
    MutexLock lock(mutex);
    while (stage != 1) changed.Wait(mutex);
    stage = 2;
    changed.NotifyAll();
  });
  {
    MutexLock lock(mutex);
    stage = 1;
    changed.NotifyAll();
    while (stage != 2) changed.Wait(mutex);
    EXPECT_EQ(stage, 2);
  }
  other.join();
}

TEST(CondVarTest, TheLockIsHeldAgainAfterAWait) {
  Mutex mutex;
  CondVar changed;
  bool is_inside = false;
  bool overlapped = false;
  int left = 4;
  const auto visit = [&] {
    MutexLock lock(mutex);
    --left;
    changed.NotifyAll();
    while (left > 0) changed.Wait(mutex);
    overlapped = overlapped || is_inside;
    is_inside = true;
    std::this_thread::yield();
    is_inside = false;
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(visit);
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(overlapped);
}

}  // namespace
}  // namespace hearth
