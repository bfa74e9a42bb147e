#include <gtest/gtest.h>

#include <future>
#include <latch>
#include <thread>

#include "base/error.h"
#include "fakes/leaks_on_purpose.h"
#include "fakes/manual_executor.h"
#include "fakes/worker_fixture.h"

namespace hearth {
namespace {

class ShutdownTest : public CacheTest {};

TEST_F(ShutdownTest, ReleasesTheResidentsWhenAsked) {
  Make({});
  const LoaderPtr loader = Load("a");
  cache_->Shutdown(true);
  cache_->Shutdown(true);
  EXPECT_EQ(loader->log().releases, 1);
  EXPECT_THROW((void)cache_->Acquire(Request(Key("b"), Loader())), CacheClosed);
  EXPECT_THROW(cache_->Prewarm(Request(Key("b"), Loader())), CacheClosed);
}

TEST_F(ShutdownTest, LeavesTheResidentsToTheEndOfTheProcessWhenAsked) {
  Make({});
  const LoaderPtr loader = Load("a");
  {
    const LeaksOnPurpose leaks;
    cache_->Shutdown(false);
  }
  cache_.reset();
  EXPECT_EQ(loader->log().releases, 0);
  EXPECT_EQ(loader->log().destroyed, 0);
}

TEST_F(ShutdownTest, JobsThatAClosedExecutorDropsLeaveNobodyWaiting) {
  const auto executor = std::make_shared<ManualExecutor>();
  executor_ = executor;
  Make({});
  const LoaderPtr loader = Loader();
  const LoadTicket queued = cache_->Prewarm(Request(Key("a"), loader));
  EXPECT_FALSE(queued.IsReady());
  executor->Close();
  EXPECT_TRUE(queued.IsReady());
  EXPECT_THROW((void)queued.Wait(), CacheClosed);
  EXPECT_THROW((void)cache_->Acquire(Request(Key("b"), loader)), CacheClosed);
  EXPECT_EQ(loader->log().loads, 0);
  EXPECT_EQ(cache_->Stats().loading, 0U);
}

TEST_F(ShutdownTest, WithoutItsThreadAModelIsLeakedRatherThanReleasedOnAnother) {
  const auto executor = std::make_shared<ManualExecutor>();
  executor_ = executor;
  Make({});
  const LoaderPtr dropped = Loader();
  const LoaderPtr refused = Loader();
  ModelHandle handle;
  executor->Run([&] {
    Load("a", dropped);
    handle = cache_->Acquire(Request(Key("b"), refused));
  });
  const LeaksOnPurpose leaks;
  cache_->Erase(Key("a"), "test");
  cache_->Erase(Key("b"), "test");
  executor->Close();
  handle = ModelHandle();
  EXPECT_EQ(dropped->log().releases + refused->log().releases, 0);
  EXPECT_EQ(dropped->log().destroyed + refused->log().destroyed, 0);
}

TEST_F(ShutdownTest, ALoaderThatEndsTheCacheGetsItsModelUncached) {
  Make({});
  const LoaderPtr loader = Loader({.during = [&] { cache_->Shutdown(true); }});
  const ModelHandle handle = cache_->Acquire(Request(Key("a"), loader));
  EXPECT_FALSE(handle.cached());
  EXPECT_EQ(LastEvent(EventKind::kServedUncached).reason, "the cache was shut down");
}

TEST_F(ShutdownTest, AHandleMayOutliveTheCache) {
  Make({});
  const LoaderPtr loader = Loader();
  ModelHandle handle = cache_->Acquire(Request(Key("a"), loader));
  cache_.reset();
  EXPECT_EQ(handle.key(), Key("a"));
  EXPECT_EQ(loader->log().releases, 0);
  handle = ModelHandle();
  EXPECT_EQ(loader->log().releases, 1);
  EXPECT_EQ(loader->log().destroyed, 1);
}

using ShutdownWhileLoadingTest = WorkerCacheTest;

TEST_F(ShutdownWhileLoadingTest, ARunningLoadIsWaitedForAndQueuedOnesFail) {
  std::latch loading(1);
  std::latch go_on(1);
  const LoaderPtr running = Loader({.during = [&] {
    loading.count_down();
    go_on.wait();
  }});
  const LoaderPtr queued = Loader();
  auto first = std::async(std::launch::async,
                          [&] { return cache_->Acquire(Request(Key("a"), running)).cached(); });
  loading.wait();
  const LoadTicket second = cache_->Prewarm(Request(Key("b"), queued));
  std::thread closer([&] { cache_->Shutdown(true); });
  EXPECT_THROW(
      {
        while (!second.IsReady()) std::this_thread::yield();
        (void)second.Wait();
      },
      CacheClosed);
  go_on.count_down();
  closer.join();
  first.get();
  worker_->Drain();
  EXPECT_EQ(queued->log().loads, 0);
  EXPECT_EQ(running->log().releases, 1);
}

TEST_F(ShutdownWhileLoadingTest, AnExecutorThatEndedFailsTheWaitersInsteadOfLeavingThem) {
  worker_->Stop();
  EXPECT_THROW((void)cache_->Acquire(Request(Key("a"), Loader())), CacheClosed);
}

}  // namespace
}  // namespace hearth
