#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <functional>
#include <latch>
#include <random>
#include <thread>
#include <vector>

#include "base/error.h"
#include "cache/recount.h"
#include "fakes/worker_fixture.h"

namespace hearth {
namespace {

using ConcurrencyTest = WorkerCacheTest;

// Each request that finds no resident is a miss, so the misses tell how many wait for a load.
class CrowdTest : public WorkerCacheTest {
 protected:
  std::function<void()> UntilMisses(std::uint64_t count) {
    return [this, count] {
      while (cache_->Stats().misses < count) std::this_thread::yield();
    };
  }
  // Runs `ask` on that many threads, and returns for how many it was true.
  int Crowd(int size, const std::function<bool()>& ask) {
    std::atomic<int> well = 0;
    std::vector<std::thread> callers;
    for (int i = 0; i < size; ++i) callers.emplace_back([&] { well += ask() ? 1 : 0; });
    for (std::thread& caller : callers) caller.join();
    return well;
  }
};

TEST_F(CrowdTest, ThirtyTwoCallersOfOneKeyShareOneLoad) {
  const LoaderPtr loader = Loader({.during = UntilMisses(32)});
  const int served = Crowd(32, [&] {
    const ModelHandle handle = cache_->Acquire(Request(Key("a"), loader));
    return handle.cached() && !handle.was_hit();
  });
  EXPECT_EQ(served, 32);
  EXPECT_EQ(loader->log().loads, 1);
  EXPECT_EQ(cache_->Stats().in_use, 0U);
}

TEST_F(CrowdTest, EveryWaiterOfAFailedLoadGetsItsError) {
  const LoaderPtr loader = Loader({.failure = "no", .during = UntilMisses(32)});
  const int failed = Crowd(32, [&] {
    try {
      (void)cache_->Acquire(Request(Key("a"), loader));
      return false;
    } catch (const std::runtime_error& error) {
      return std::string(error.what()) == "no";
    }
  });
  EXPECT_EQ(failed, 32);
  EXPECT_EQ(loader->log().loads, 1);
  EXPECT_EQ(cache_->Stats().load_failures, 1U);
}

TEST_F(CrowdTest, WhoTakesAnUncachedModelIsServedThoughTheFirstToAskWouldNot) {
  Make({.max_models = 1});
  const ModelHandle held = cache_->Acquire(Request(Key("held"), Loader()));
  worker_->Post(UntilMisses(3));  // until both are asking for the one load behind this job
  LoadRequest strict = Request(Key("a"), Loader());
  strict.when_busy = WhenBusy::kThrow;
  std::atomic<bool> refused = false;
  std::thread first([&] {
    try {
      (void)cache_->Acquire(strict);
    } catch (const CacheBusy&) {
      refused = true;
    }
  });
  UntilMisses(2)();
  const ModelHandle handle = cache_->Acquire(Request(Key("a"), Loader()));
  first.join();
  EXPECT_TRUE(refused);
  EXPECT_FALSE(handle.cached());
}

TEST_F(CrowdTest, AnUncachedModelIsReleasedOnceWithItsLastHandle) {
  Make({.max_models = 0});
  const LoaderPtr loader = Loader({.during = UntilMisses(8)});
  const int served = Crowd(8, [&] { return !cache_->Acquire(Request(Key("a"), loader)).cached(); });
  EXPECT_EQ(served, 8);
  worker_->Drain();
  EXPECT_EQ(loader->log().loads, 1);
  EXPECT_EQ(loader->log().releases, 1);
  EXPECT_EQ(loader->log().destroyed, 1);
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
  ExpectTotalsAreARecount(*cache_);
}

}  // namespace
}  // namespace hearth
