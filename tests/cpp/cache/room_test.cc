#include <gtest/gtest.h>

#include <cmath>
#include <initializer_list>

#include "base/error.h"
#include "fakes/cache_fixture.h"

namespace hearth {
namespace {

class RoomTest : public CacheTest {};

TEST_F(RoomTest, TheLeastRecentlyUsedMakesRoomBeforeTheLoad) {
  Make({.max_models = 2});
  const LoaderPtr a = Load("a");
  Load("b");
  int released_in_mid_load = 0;
  const LoaderPtr c = Loader({.during = [&] { released_in_mid_load = a->log().releases; }});
  Load("c", c);
  EXPECT_EQ(released_in_mid_load, 1);
  EXPECT_EQ(ResidentNames(), "bc");
  EXPECT_EQ(LastEvent(EventKind::kEvicted).reason, "limit of 2 models");
}

TEST_F(RoomTest, ARecordedUseKeepsTheBusiestModel) {
  Make({.max_models = 2});
  Load("a");
  Load("b");
  cache_->RecordUse(Key("a"), true);
  Load("c");
  EXPECT_EQ(ResidentNames(), "ac");
}

TEST_F(RoomTest, TextEncodersAndVaesAreNotCounted) {
  Make({.max_models = 1});
  Load("a");
  (void)cache_->Acquire(Request(Key("t", "1", ModelKind::kTextEncoder), Loader()));
  (void)cache_->Acquire(Request(Key("v", "1", ModelKind::kVae), Loader()));
  EXPECT_EQ(ResidentNames(), "atv");
}

TEST_F(RoomTest, TheRamBudgetIsKept) {
  Make({.max_host_bytes = 100});
  Load("a", LoaderOf(60));
  Load("b", LoaderOf(30));
  Load("c", LoaderOf(40));
  EXPECT_EQ(ResidentNames(), "bc");
  EXPECT_LE(cache_->Stats().resident_bytes.host(), 100U);
}

TEST_F(RoomTest, TheVramBudgetIsKept) {
  Make({.max_device_bytes = 100});
  Load("a", LoaderOf(1, 60));
  Load("b", LoaderOf(1, 60));
  EXPECT_EQ(ResidentNames(), "b");
  EXPECT_EQ(LastEvent(EventKind::kEvicted).reason, "VRAM budget of 100 bytes");
}

TEST_F(RoomTest, AModelThatGrewIsSeenByTheNextEnforcement) {
  Make({.max_host_bytes = 100});
  Load("a", LoaderOf(40));
  Load("b", LoaderOf(40));
  cache_->UpdateBytes(Key("b"), {0, 90, 0, 0});
  cache_->Enforce();
  EXPECT_EQ(ResidentNames(), "b");
}

TEST_F(RoomTest, AModelLargerThanTheBudgetIsServedAndNobodyGoesForIt) {
  Make({.max_host_bytes = 100});
  Load("a", LoaderOf(60));
  const ModelHandle handle = cache_->Acquire(Request(Key("huge"), LoaderOf(101)));
  EXPECT_FALSE(handle.cached());
  EXPECT_EQ(ResidentNames(), "a");
}

TEST_F(RoomTest, WhenEverybodyIsInUseTheModelIsServedUncached) {
  Make({.max_models = 1});
  const ModelHandle a = cache_->Acquire(Request(Key("a"), Loader()));
  const LoaderPtr loader = Loader();
  {
    const ModelHandle b = cache_->Acquire(Request(Key("b"), loader));
    EXPECT_FALSE(b.cached());
  }
  EXPECT_EQ(loader->log().releases, 1);
  EXPECT_EQ(ResidentNames(), "a");
  EXPECT_EQ(LastEvent(EventKind::kServedUncached).reason,
            "limit of 1 model, and nobody can go: a (in use)");
}

TEST_F(RoomTest, ACallerMayAskToBeRefusedInstead) {
  Make({.max_models = 1});
  (void)cache_->Acquire(Request(Key("a"), Loader()));
  cache_->Pin(Key("a"));
  LoadRequest request = Request(Key("b"), Loader());
  request.when_busy = WhenBusy::kThrow;
  EXPECT_THROW((void)cache_->Acquire(request), CacheBusy);
  EXPECT_EQ(cache_->Stats().load_failures, 0U);
}

TEST_F(RoomTest, APinnedModelOutlastsEveryPressure) {
  Make({.max_models = 1, .max_host_bytes = 50, .idle_seconds = 5});
  cache_->Pin(Key("a"));
  Load("a", LoaderOf(50));
  Load("b", LoaderOf(50));
  clock_->Advance(100);
  cache_->Enforce();
  cache_->Trim(1000, 1000, "test");
  EXPECT_EQ(ResidentNames(), "a");
  cache_->Unpin(Key("a"));
  cache_->Enforce();
  EXPECT_EQ(ResidentNames(), "");
}

TEST_F(RoomTest, APinHoldsForTheSlotWhateverFileIsBehindIt) {
  Make({.max_models = 1});
  cache_->Pin(Key("a", "1"));
  (void)cache_->Acquire(Request(Key("a", "2"), Loader()));
  Load("b");
  EXPECT_EQ(ResidentNames(), "a");
}

TEST_F(RoomTest, IdleModelsGoWhenTheirTimeHasCome) {
  Make({.idle_seconds = 10});
  Load("a");
  clock_->Advance(4);
  Load("b");
  EXPECT_NEAR(*cache_->SecondsToNextExpiry(), 4, 1e-9);
  clock_->Advance(5);
  cache_->Enforce();
  EXPECT_EQ(ResidentNames(), "b");
  EXPECT_EQ(LastEvent(EventKind::kEvicted).reason, "idle for 10 s");
}

TEST_F(RoomTest, AModelInUseIsNotIdle) {
  Make({.idle_seconds = 10});
  const ModelHandle handle = cache_->Acquire(Request(Key("a"), Loader()));
  clock_->Advance(100);
  cache_->Enforce();
  EXPECT_EQ(ResidentNames(), "a");
  EXPECT_FALSE(cache_->SecondsToNextExpiry());
}

TEST_F(RoomTest, AModelKeptAliveHasAnIdleTimeOfItsOwn) {
  Make({.idle_seconds = 10});
  cache_->KeepAlive(Key("long"), 100);
  cache_->KeepAlive(Key("short"), 3);
  for (const char* name : {"long", "short", "plain"}) Load(name);
  EXPECT_NEAR(*cache_->SecondsToNextExpiry(), 1, 1e-9);
  clock_->Advance(1);
  cache_->Enforce();
  EXPECT_EQ(ResidentNames(), "longplain");
  EXPECT_EQ(LastEvent(EventKind::kEvicted).reason, "idle for 3 s");
  clock_->Advance(8);
  cache_->Enforce();
  EXPECT_EQ(ResidentNames(), "long");
  EXPECT_NEAR(*cache_->SecondsToNextExpiry(), 100 - 12, 1e-9);
  EXPECT_EQ(cache_->Residents()[0].keep_alive_seconds, 100);
}

TEST_F(RoomTest, AUseBeginsTheTimeToBeKeptAliveAnew) {
  Make({});
  cache_->KeepAlive(Key("a"), 10);
  Load("a");
  clock_->Advance(8);
  cache_->RecordUse(Key("a"), true);
  clock_->Advance(9);
  cache_->Enforce();
  EXPECT_EQ(ResidentNames(), "a");
  clock_->Advance(1);
  cache_->Enforce();
  EXPECT_EQ(ResidentNames(), "");
}

TEST_F(RoomTest, WithoutATimeOfItsOwnAModelIsKeptAsConfigured) {
  Make({});
  cache_->KeepAlive(Key("a"), 10);
  Load("a");
  cache_->KeepAlive(Key("a"), std::nullopt);
  EXPECT_FALSE(cache_->SecondsToNextExpiry());
  EXPECT_FALSE(cache_->Residents()[0].keep_alive_seconds);
}

TEST_F(RoomTest, KeepingAliveIsNoPin) {
  Make({.max_models = 1});
  cache_->KeepAlive(Key("a"), 100);
  Load("a");
  Load("b");
  EXPECT_EQ(ResidentNames(), "b");
}

TEST_F(RoomTest, NobodyIsKeptAliveForNoTimeOrForEver) {
  Make({});
  for (const double seconds : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    EXPECT_THROW(cache_->KeepAlive(Key("a"), seconds), Error);
  }
}

TEST_F(RoomTest, ASmallerLimitEvictsAtOnce) {
  Make({});
  for (const char* name : {"a", "b", "c"}) Load(name);
  cache_->SetLimits({.max_models = 1});
  EXPECT_EQ(ResidentNames(), "c");
}

TEST_F(RoomTest, TrimStopsWhenEnoughIsFree) {
  Make({});
  Load("a", LoaderOf(10));
  Load("b", LoaderOf(10));
  Load("c", LoaderOf(10));
  EXPECT_EQ(cache_->Trim(15, 0, "asked").host(), 20U);
  EXPECT_EQ(ResidentNames(), "c");
}

TEST_F(RoomTest, NoEvictionServesFurtherModelsUncached) {
  Make({.max_models = 1}, "noeviction");
  Load("a");
  EXPECT_FALSE(cache_->Acquire(Request(Key("b"), Loader())).cached());
  EXPECT_EQ(ResidentNames(), "a");
}

TEST_F(RoomTest, AChangedPolicyDecidesTheNextEviction) {
  Make({.max_models = 2});
  Load("a");
  Load("b");
  cache_->RecordUse(Key("a"), true);
  clock_->Advance(1);
  cache_->RecordUse(Key("b"), true);
  cache_->RecordUse(Key("a"), true);
  clock_->Advance(1);
  cache_->RecordUse(Key("b"), false);  // most recent, but rarer
  cache_->SetPolicy(MakeEvictionPolicy("lfu", std::nullopt));
  Load("c");
  EXPECT_EQ(ResidentNames(), "ac");
}

class SmallMachineTest : public CacheTest {
 protected:
  SmallMachineTest() {
    probe_ = std::make_shared<FakeMemoryProbe>(100);
    Make({.min_free_host_bytes = 20});
  }
  LoaderPtr LoadOf(const std::string& name, std::uint64_t bytes) {
    return Load(name, Loader({.bytes = {0, bytes, 0, 0}, .machine = probe_}));
  }
};

TEST_F(SmallMachineTest, TwoModelsThatDoNotFitTakeTurnsAndRamStaysFree) {
  for (int round = 0; round < 3; ++round) {
    LoadOf("a", 60);
    EXPECT_EQ(ResidentNames(), "a");
    LoadOf("b", 60);
    EXPECT_EQ(ResidentNames(), "b");
    EXPECT_GE(probe_->Read().available, 20U);
  }
  EXPECT_EQ(LastEvent(EventKind::kEvicted).reason, "60 bytes of RAM needed for b");
}

TEST_F(SmallMachineTest, ScarceRamAloneRefusesNobody) {
  probe_->Take(90);  // another program
  const ModelHandle handle =
      cache_->Acquire(Request(Key("a"), Loader({.bytes = {0, 5, 0, 0}, .machine = probe_})));
  EXPECT_TRUE(handle.cached());
}

TEST_F(SmallMachineTest, WhenAnotherProgramTakesRamModelsGo) {
  LoadOf("a", 30);
  LoadOf("b", 30);
  probe_->Take(25);
  cache_->Enforce();
  EXPECT_EQ(ResidentNames(), "b");
}

TEST_F(SmallMachineTest, AMachineThatDoesNotTellEvictsNobody) {
  probe_ = std::make_shared<FakeMemoryProbe>(0);
  Make({.min_free_host_bytes = 20});
  Load("a");
  Load("b");
  EXPECT_EQ(ResidentNames(), "ab");
}

}  // namespace
}  // namespace hearth
