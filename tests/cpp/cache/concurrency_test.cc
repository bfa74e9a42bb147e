#include <gtest/gtest.h>

#include <barrier>
#include <latch>
#include <random>
#include <thread>
#include <vector>

#include "fakes/worker_fixture.h"

namespace hearth {
namespace {

using ConcurrencyTest = WorkerCacheTest;

TEST_F(ConcurrencyTest, ThirtyTwoCallersOfOneKeyShareOneLoad) {
  constexpr int kCallers = 32;
  std::latch all_asked(kCallers);
  const LoaderPtr loader = Loader({.during = [&] { all_asked.wait(); }});
  std::vector<std::thread> callers;
  std::atomic<int> served = 0;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] {
      all_asked.count_down();
      if (cache_->Acquire(Request(Key("a"), loader))) ++served;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(served, kCallers);
  EXPECT_EQ(loader->log().loads, 1);
}

TEST_F(ConcurrencyTest, EveryWaiterOfAFailedLoadGetsItsError) {
  constexpr int kCallers = 8;
  std::latch all_waiting(1);
  const LoaderPtr loader = Loader({.failure = "no", .during = [&] { all_waiting.wait(); }});
  std::vector<std::thread> callers;
  std::atomic<int> failed = 0;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] {
      try {
        (void)cache_->Acquire(Request(Key("a"), loader));
      } catch (const std::runtime_error& error) {
        if (std::string(error.what()) == "no") ++failed;
      }
    });
  }
  all_waiting.count_down();
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(failed, kCallers);
}

TEST_F(ConcurrencyTest, LoadsAndReleasesRunOnTheExecutorsThread) {
  const LoaderPtr loader = Load("a");
  EXPECT_EQ(loader->log().load_thread.load(), worker_->id());
  cache_->Erase(Key("a"), "test");
  worker_->Drain();
  EXPECT_EQ(loader->log().release_thread.load(), worker_->id());
}

TEST_F(ConcurrencyTest, TheExecutorTakesOverALoadThatWaitsForIt) {
  std::latch posted(1);
  bool served = false;
  const LoaderPtr loader = Loader();
  std::thread other;
  worker_->Post([&] {
    posted.wait();  // another thread has asked by now, and its load is queued behind this job
    served = static_cast<bool>(cache_->Acquire(Request(Key("a"), loader)));
  });
  const LoadTicket ticket = cache_->Prewarm(Request(Key("a"), loader));
  posted.count_down();
  worker_->Drain();
  EXPECT_TRUE(served);
  EXPECT_TRUE(ticket.Wait());
  EXPECT_EQ(loader->log().loads, 1);
}

TEST_F(ConcurrencyTest, AHandleEndedElsewhereIsReleasedOnTheExecutorsThread) {
  const LoaderPtr loader = Loader();
  ModelHandle handle = cache_->Acquire(Request(Key("a"), loader));
  cache_->Erase(Key("a"), "test");
  std::thread([&] { handle = ModelHandle(); }).join();
  worker_->Drain();
  EXPECT_EQ(loader->log().release_thread.load(), worker_->id());
}

TEST_F(ConcurrencyTest, ThirtyTwoThreadsOfAcquireAndEraseLeaveNothingWrong) {
  constexpr int kThreads = 32;
  constexpr int kRounds = 1024;
  Make({.max_models = 3});
  std::barrier start(kThreads);
  std::vector<std::thread> threads;
  for (int id = 0; id < kThreads; ++id) {
    threads.emplace_back([&, id] {
      std::mt19937 random(static_cast<unsigned>(id));
      start.arrive_and_wait();
      for (int round = 0; round < kRounds; ++round) {
        const ModelKey key = Key("m" + std::to_string(random() % 6));
        switch (random() % 8) {
          case 0:
            cache_->Erase(key, "stress");
            break;
          case 1:
            cache_->RecordUse(key, true);
            break;
          case 2:
            cache_->Stats();
            break;
          default:
            EXPECT_TRUE(cache_->Acquire(Request(key, Loader())));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  worker_->Drain();
  const CacheStats stats = cache_->Stats();
  EXPECT_EQ(stats.in_use, 0U);
  EXPECT_EQ(stats.loading, 0U);
  EXPECT_LE(stats.resident_models, 3U);
  EXPECT_EQ(stats.loads, stats.resident + stats.evictions + stats.erasures + stats.served_uncached);
}

}  // namespace
}  // namespace hearth
