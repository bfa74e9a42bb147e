#include <gtest/gtest.h>

#include "fakes/cache_fixture.h"

namespace hearth {
namespace {

// Models that a workflow still holds after they were evicted.
class LingeringTest : public CacheTest {
 protected:
  LingeringTest() { Make({}); }
  LoaderPtr LoadHeld(const std::string& name, FakeModelPlan plan = {}) {
    plan.lingers = true;
    return Load(name, Loader(std::move(plan)));
  }
};

TEST_F(LingeringTest, AnEvictedModelThatIsStillHeldIsShownAndCounted) {
  LoadHeld("a", {.bytes = {0, 40, 0, 0}});
  cache_->Erase(Key("a"), "test");
  EXPECT_EQ(cache_->Stats().resident, 0U);
  EXPECT_EQ(cache_->Stats().lingering_bytes.host(), 40U);
  ASSERT_EQ(cache_->Residents().size(), 1U);
  EXPECT_TRUE(cache_->Residents()[0].lingering);
}

TEST_F(LingeringTest, AskedForAgainItIsTakenBackWithoutALoad) {
  const LoaderPtr loader = LoadHeld("a");
  cache_->Erase(Key("a"), "test");
  const LoaderPtr second = Load("a");
  EXPECT_EQ(second->log().loads, 0);
  EXPECT_EQ(loader->log().reclaims, 1);
  EXPECT_EQ(ResidentNames(), "a");
  EXPECT_EQ(cache_->Stats().lingering, 0U);
}

TEST_F(LingeringTest, UsedAgainItIsTakenBack) {
  LoadHeld("a");
  cache_->Erase(Key("a"), "test");
  EXPECT_TRUE(cache_->RecordUse(Key("a"), false));
  EXPECT_EQ(ResidentNames(), "");
  EXPECT_TRUE(cache_->RecordUse(Key("a"), true));
  EXPECT_EQ(ResidentNames(), "a");
}

TEST_F(LingeringTest, TakenBackItIsNotTheVictimOfItsOwnReturn) {
  Make({.max_models = 1});
  LoadHeld("a");
  Load("b");
  EXPECT_EQ(ResidentNames(), "b");
  cache_->RecordUse(Key("a"), true);
  EXPECT_EQ(ResidentNames(), "a");
}

TEST_F(LingeringTest, WhenAPartOfItIsGoneItIsLoaded) {
  LoadHeld("a", {.reclaimable = false});
  cache_->Erase(Key("a"), "test");
  EXPECT_EQ(Load("a")->log().loads, 1);
  EXPECT_EQ(cache_->Stats().lingering, 1U);  // what is left of the first still takes memory
}

TEST_F(LingeringTest, AnotherIdentityIsNotTheSameModel) {
  LoadHeld("a");
  cache_->Erase(Key("a"), "test");
  const LoaderPtr fresh = Loader();
  (void)cache_->Acquire(Request(Key("a", "2"), fresh));
  EXPECT_EQ(fresh->log().loads, 1);
}

TEST_F(LingeringTest, TheLastHolderLettingGoEndsIt) {
  const LoaderPtr loader = LoadHeld("a");
  cache_->Erase(Key("a"), "test");
  cache_->LingeringGone(Key("a"));
  EXPECT_EQ(cache_->Stats().lingering, 0U);
  EXPECT_EQ(loader->log().destroyed, 1);
  EXPECT_EQ(LastEvent(EventKind::kLingeringGone).model, "a");
}

TEST_F(LingeringTest, ItCountsInTheRamBudgetAndIsAskedToGoFirst) {
  Make({.max_host_bytes = 100});
  LoadHeld("a", {.bytes = {0, 50, 0, 0}});
  Load("b", LoaderOf(20));
  cache_->Erase(Key("a"), "test");
  Load("c", LoaderOf(60));
  EXPECT_EQ(cache_->Stats().lingering, 0U);
  EXPECT_EQ(ResidentNames(), "bc");
}

TEST_F(LingeringTest, WhatDoesNotLetGoCostsTheOthersTheirPlace) {
  Make({.max_host_bytes = 100});
  LoadHeld("a", {.bytes = {0, 50, 0, 0}, .lets_go = false});
  Load("b", LoaderOf(30));
  cache_->Erase(Key("a"), "test");
  Load("c", LoaderOf(50));
  EXPECT_EQ(ResidentNames(), "c");
  EXPECT_EQ(cache_->Stats().lingering, 1U);
}

TEST_F(LingeringTest, AVictimThatLingersIsAskedToLetGoBeforeTheLoad) {
  Make({.max_host_bytes = 100});
  LoadHeld("a", {.bytes = {0, 80, 0, 0}});
  std::size_t lingering_in_mid_load = 99;
  Load("b", Loader({.bytes = {0, 80, 0, 0},
                    .during = [&] { lingering_in_mid_load = cache_->Stats().lingering; }}));
  EXPECT_EQ(lingering_in_mid_load, 0U);
}

TEST_F(LingeringTest, FreedByHandItIsGone) {
  LoadHeld("a");
  LoadHeld("b");
  cache_->EraseByName("a", "test");
  cache_->EraseByName("b", "test");
  EXPECT_EQ(cache_->FreeLingering(Key("a")), 1U);
  EXPECT_EQ(cache_->FreeLingering(std::nullopt), 1U);
  EXPECT_EQ(cache_->Stats().lingering, 0U);
}

TEST_F(LingeringTest, ServedUncachedItMayLingerAndBecomeResidentLater) {
  Make({.max_models = 1});
  {
    const ModelHandle a = cache_->Acquire(Request(Key("a"), Loader()));
    const LoaderPtr held = Loader({.lingers = true});
    EXPECT_FALSE(cache_->Acquire(Request(Key("b"), held)).cached());
  }
  EXPECT_EQ(cache_->Stats().lingering, 1U);
  cache_->RecordUse(Key("b"), true);
  EXPECT_EQ(ResidentNames(), "b");
}

}  // namespace
}  // namespace hearth
