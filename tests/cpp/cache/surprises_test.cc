// What changes while something else is under way: a load that takes more than it said, limits that
// change in mid-load, a workflow that lets go in mid-release.
#include <gtest/gtest.h>

#include "base/error.h"
#include "fakes/cache_fixture.h"
#include "fakes/manual_executor.h"

namespace hearth {
namespace {

class SurprisesTest : public CacheTest {
 protected:
  // Jobs that were never run would keep the cache, and the cache its executor.
  ~SurprisesTest() override {
    cache_.reset();
    manual_->Run();
  }
  void MakeManual(CacheLimits limits) {
    executor_ = manual_;
    Make(limits);
  }
  LoadRequest Unexpected(const std::string& name, const LoaderPtr& loader) {
    LoadRequest request = Request(Key(name), loader);
    request.expected = {};
    return request;
  }
  std::shared_ptr<ManualExecutor> manual_ = std::make_shared<ManualExecutor>();
};

TEST_F(SurprisesTest, AModelThatTakesMoreThanTheBudgetIsServedAndNobodyGoesForIt) {
  Make({.max_host_bytes = 100});
  Load("a", LoaderOf(60));
  const ModelHandle handle = cache_->Acquire(Unexpected("big", LoaderOf(200)));
  EXPECT_FALSE(handle.cached());
  EXPECT_EQ(ResidentNames(), "a");
  EXPECT_EQ(LastEvent(EventKind::kServedUncached).reason,
            "RAM budget of 100 bytes, and this model alone is more than that");
}

TEST_F(SurprisesTest, AModelThatTakesMoreThanItSaidMakesRoomAfterItsLoad) {
  Make({.max_host_bytes = 100});
  Load("a", LoaderOf(60));
  EXPECT_TRUE(cache_->Acquire(Unexpected("b", LoaderOf(60))).cached());
  EXPECT_EQ(ResidentNames(), "b");
}

TEST_F(SurprisesTest, NestedLoadsStayWithinTheLimit) {
  Make({.max_models = 1});
  Load("outer", Loader({.during = [&] { Load("inner"); }}));
  EXPECT_EQ(ResidentNames(), "outer");
}

TEST_F(SurprisesTest, APrewarmWithoutRoomReadsNothing) {
  Make({.max_models = 1});
  const ModelHandle held = cache_->Acquire(Request(Key("held"), Loader()));
  const LoaderPtr loader = Loader();
  const LoadTicket ticket = cache_->Prewarm(Request(Key("b"), loader));
  EXPECT_TRUE(ticket.IsReady());
  EXPECT_EQ(loader->log().loads, 0);
  EXPECT_EQ(LastEvent(EventKind::kNoted).reason,
            "not loaded: limit of 1 model, and nobody can go: held (in use)");
  EXPECT_FALSE(ticket.Wait().cached());  // who asks for it after all is served
}

TEST_F(SurprisesTest, TurnedOffTheCacheRefusesNobody) {
  Make({.enabled = false});
  LoadRequest request = Request(Key("a"), Loader());
  request.when_busy = WhenBusy::kThrow;
  EXPECT_FALSE(cache_->Acquire(request).cached());
}

TEST_F(SurprisesTest, TurnedOffInMidLoadItKeepsNothing) {
  Make({});
  const LoaderPtr loader = Loader({.during = [&] { cache_->SetLimits({.enabled = false}); }});
  EXPECT_FALSE(cache_->Acquire(Request(Key("a"), loader)).cached());
  EXPECT_EQ(ResidentNames(), "");
  EXPECT_EQ(loader->log().releases, 1);
}

TEST_F(SurprisesTest, WhenTheNewFileDoesNotFitTheOldModelGoesAllTheSame) {
  Make({.max_host_bytes = 100});
  const LoaderPtr old = Load("a", LoaderOf(60));
  const ModelHandle handle = cache_->Acquire(Request(Key("a", "2"), LoaderOf(200)));
  EXPECT_FALSE(handle.cached());
  EXPECT_EQ(old->log().releases, 1);
  EXPECT_EQ(ResidentNames(), "");
}

TEST_F(SurprisesTest, ScarceRamDoesNotTakeTheOldModelBeforeTheNewOneIsLoaded) {
  probe_ = std::make_shared<FakeMemoryProbe>(100);
  Make({});
  const LoaderPtr old = Load("a", Loader({.bytes = {0, 60, 0, 0}, .machine = probe_}));
  EXPECT_THROW((void)cache_->Acquire(
                   Request(Key("a", "2"), Loader({.bytes = {0, 60, 0, 0}, .failure = "bad"}))),
               std::runtime_error);
  EXPECT_EQ(old->log().releases, 0);
  EXPECT_TRUE(cache_->Lookup(Key("a")));
}

TEST_F(SurprisesTest, WhatIsBeingReleasedIsNotMadeUpForBySomebodyElse) {
  probe_ = std::make_shared<FakeMemoryProbe>(100);
  MakeManual({.min_free_host_bytes = 20});
  manual_->Run([&] {
    Load("a", Loader({.bytes = {0, 30, 0, 0}, .machine = probe_}));
    Load("b", Loader({.bytes = {0, 30, 0, 0}, .machine = probe_}));
  });
  probe_->Take(30);
  cache_->Enforce();  // on another thread: the release waits for its own
  cache_->Enforce();
  EXPECT_EQ(ResidentNames(), "b");
  manual_->Run();
  EXPECT_EQ(probe_->Read().available, 40U);
}

TEST_F(SurprisesTest, AModelTakenBackWhileItsLoadWasQueuedIsNotLoaded) {
  MakeManual({});
  manual_->Run([&] { Load("a", Loader({.lingers = true})); });
  cache_->Erase(Key("a"), "test");
  manual_->Run();
  const LoaderPtr second = Loader();
  const LoadTicket ticket = cache_->Prewarm(Request(Key("a"), second));
  manual_->Run([&] { cache_->RecordUse(Key("a"), true); });
  EXPECT_TRUE(ticket.Wait().was_hit());
  EXPECT_EQ(second->log().loads, 0);
  EXPECT_EQ(cache_->Stats().reloads, 0U);
}

TEST_F(SurprisesTest, AHolderThatLetsGoInMidReleaseLeavesNothingLingering) {
  Make({});
  Load("a", Loader({.lingers = true, .during_release = [&] { cache_->LingeringGone(Key("a")); }}));
  cache_->Erase(Key("a"), "test");
  EXPECT_EQ(cache_->Stats().lingering, 0U);
}

TEST_F(SurprisesTest, GenerationsOfAKeyLingerAsideUntilEachIsGone) {
  Make({});
  for (const std::uint64_t bytes : {10, 20}) {
    Load("a", Loader({.bytes = {0, bytes, 0, 0}, .lingers = true, .reclaimable = false}));
    cache_->Erase(Key("a"), "test");
  }
  EXPECT_EQ(cache_->Stats().lingering_bytes.host(), 30U);
  cache_->LingeringGone(Key("a"));
  EXPECT_EQ(cache_->Stats().lingering_bytes.host(), 20U);
  cache_->LingeringGone(Key("a"));
  cache_->LingeringGone(Key("a"));
  EXPECT_EQ(cache_->Stats().lingering, 0U);
}

TEST_F(SurprisesTest, NoWorkflowIsAskedToLetGoInVain) {
  Make({.max_host_bytes = 100});
  const LoaderPtr held = Load("a", Loader({.bytes = {0, 30, 0, 0}, .lingers = true}));
  cache_->Erase(Key("a"), "test");
  EXPECT_FALSE(cache_->Acquire(Request(Key("big"), LoaderOf(200))).cached());
  EXPECT_EQ(held->log().asked, 0);
  EXPECT_TRUE(cache_->Acquire(Request(Key("b"), LoaderOf(100))).cached());
  EXPECT_EQ(held->log().asked, 1);
}

TEST_F(SurprisesTest, EvictionIsTriedBeforeAWorkflowIsAskedToLetGo) {
  Make({.max_host_bytes = 100});
  const LoaderPtr held = Load("a", Loader({.bytes = {0, 30, 0, 0}, .lingers = true}));
  cache_->Erase(Key("a"), "test");
  Load("b", LoaderOf(60));
  Load("c", LoaderOf(60));
  EXPECT_EQ(ResidentNames(), "c");
  EXPECT_EQ(held->log().asked, 0);
}

TEST_F(SurprisesTest, ResidentsAreListedInTheOrderTheyCame) {
  Make({});
  for (const char* name : {"c", "a", "b"}) Load(name);
  (void)cache_->Lookup(Key("a"));
  std::string order;
  for (const ResidentView& view : cache_->Residents()) order += view.key.name;
  EXPECT_EQ(order, "cab");
}

TEST_F(SurprisesTest, CountersTellWhatHappened) {
  Make({.max_models = 2});
  Load("a");
  Load("b");
  Load("a");
  Load("c");                                                // evicts b
  cache_->Erase(Key("c"), "test");                          // erased
  EXPECT_FALSE(cache_->Lookup(Key("c")));                   // a miss
  (void)cache_->Acquire(Request(Key("a", "2"), Loader()));  // a reload
  EXPECT_THROW(Load("d", Loader({.failure = "no"})), std::runtime_error);
  const CacheStats stats = cache_->Stats();
  EXPECT_EQ(stats.hits, 1U);
  EXPECT_EQ(stats.misses, 6U);
  EXPECT_EQ(stats.loads, 4U);
  EXPECT_EQ(stats.load_failures, 1U);
  EXPECT_EQ(stats.evictions, 1U);
  EXPECT_EQ(stats.erasures, 1U);
  EXPECT_EQ(stats.reloads, 1U);
  EXPECT_EQ(stats.resident, 1U);
}

}  // namespace
}  // namespace hearth
