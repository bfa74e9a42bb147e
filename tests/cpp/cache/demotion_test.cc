#include <gtest/gtest.h>

#include "fakes/cache_fixture.h"

namespace hearth {
namespace {

LoaderPtr Tiered(std::uint64_t host_bytes, std::uint64_t device_bytes) {
  return Loader({.bytes = {host_bytes, 0, 0, device_bytes}, .has_host_tier = true});
}

class DemotionTest : public CacheTest {};

TEST_F(DemotionTest, TheVramBudgetDemotesAndNobodyLeaves) {
  Make({.max_device_bytes = 100});
  const LoaderPtr a = Load("a", Tiered(60, 60));
  Load("b", Tiered(60, 60));
  EXPECT_EQ(ResidentNames(), "ab");
  EXPECT_EQ(a->log().demotions, 1);
  EXPECT_EQ(a->log().releases, 0);
  EXPECT_EQ(cache_->Stats().resident_bytes.device, 60U);
  EXPECT_EQ(LastEvent(EventKind::kDemoted).reason, "VRAM budget of 100 bytes");
  EXPECT_EQ(LastEvent(EventKind::kDemoted).bytes.device, 60U);
}

TEST_F(DemotionTest, ADemotedModelIsAHit) {
  Make({.max_device_bytes = 100});
  const LoaderPtr a = Load("a", Tiered(60, 60));
  Load("b", Tiered(60, 60));
  Load("a", a);
  EXPECT_EQ(a->log().loads, 1);
}

TEST_F(DemotionTest, AModelBackOnItsDeviceIsDemotedAgain) {
  Make({.max_device_bytes = 100});
  const LoaderPtr a = Load("a", Tiered(60, 60));
  const LoaderPtr b = Load("b", Tiered(60, 60));
  cache_->RecordUse(Key("a"), true);
  cache_->UpdateBytes(Key("a"), {60, 0, 0, 60});
  cache_->Enforce();
  EXPECT_EQ(b->log().demotions, 1);
  EXPECT_EQ(cache_->Stats().demotions, 2U);
}

TEST_F(DemotionTest, WhereNobodyCanBeEvictedForTheCountTheVramBudgetDemotes) {
  Make({});
  const LoaderPtr encoder = Tiered(60, 60);
  (void)cache_->Acquire(Request(Key("encoder", "1", ModelKind::kTextEncoder), encoder));
  for (const char* name : {"a", "b"}) {
    Load(name);
    cache_->Pin(Key(name));
  }
  cache_->SetLimits({.max_models = 1, .max_device_bytes = 10});  // once never came back
  EXPECT_EQ(cache_->Stats().resident, 3U);
  EXPECT_EQ(encoder->log().demotions, 1);
  EXPECT_EQ(LastEvent(EventKind::kDemoted).reason, "VRAM budget of 10 bytes");
}

TEST_F(DemotionTest, ARamBudgetStillEvicts) {
  Make({.max_host_bytes = 100, .max_device_bytes = 100});
  const LoaderPtr a = Load("a", Tiered(60, 60));
  Load("b", Tiered(60, 60));
  EXPECT_EQ(ResidentNames(), "b");
  EXPECT_EQ(a->log().demotions, 0);
}

TEST_F(DemotionTest, AModelWithoutATierBelowIsEvictedForTheSameReason) {
  Make({.max_device_bytes = 100});
  Load("a", LoaderOf(1, 60));
  Load("b", LoaderOf(1, 60));
  EXPECT_EQ(ResidentNames(), "b");
  EXPECT_EQ(LastEvent(EventKind::kEvicted).reason, "VRAM budget of 100 bytes");
  EXPECT_EQ(cache_->Stats().demotions, 0U);
}

TEST_F(DemotionTest, AModelInUseOrPinnedKeepsItsDeviceMemory) {
  Make({.max_device_bytes = 1000});
  const LoaderPtr used = Tiered(1, 60);
  const ModelHandle handle = cache_->Acquire(Request(Key("used"), used));
  const LoaderPtr pinned = Load("pinned", Tiered(1, 60));
  cache_->Pin(Key("pinned"));
  cache_->SetLimits({.max_device_bytes = 50});
  EXPECT_EQ(used->log().demotions + pinned->log().demotions, 0);
  EXPECT_EQ(cache_->Stats().resident_bytes.device, 120U);
}

TEST_F(DemotionTest, WhatIsIdleForSoLongLeavesItsDeviceAndLaterTheCache) {
  Make({.idle_seconds = 100, .device_idle_seconds = 10});
  const LoaderPtr a = Load("a", Tiered(1, 60));
  EXPECT_DOUBLE_EQ(*cache_->SecondsToNextExpiry(), 9);
  clock_->Advance(9);
  cache_->Enforce();
  EXPECT_EQ(a->log().demotions, 1);
  EXPECT_EQ(LastEvent(EventKind::kDemoted).reason, "idle for 10 s");
  EXPECT_DOUBLE_EQ(*cache_->SecondsToNextExpiry(), 90);
  clock_->Advance(90);
  cache_->Enforce();
  EXPECT_EQ(ResidentNames(), "");
}

TEST_F(DemotionTest, TrimmingDeviceMemoryAloneDemotes) {
  Make({});
  const LoaderPtr a = Load("a", Tiered(1, 60));
  const LoaderPtr b = Load("b", Tiered(1, 60));
  EXPECT_EQ(cache_->Trim(0, 50, "another process needs it").device, 60U);
  EXPECT_EQ(a->log().demotions, 1);
  EXPECT_EQ(b->log().demotions, 0);
  EXPECT_EQ(ResidentNames(), "ab");
}

TEST_F(DemotionTest, TrimmingHostMemoryEvicts) {
  Make({});
  Load("a", Tiered(1, 60));
  cache_->Trim(1, 1, "RAM is short");
  EXPECT_EQ(ResidentNames(), "");
}

class PostedDemotionTest : public PostedCacheTest {
 protected:
  PostedDemotionTest() {
    Make({});
    manual_->Run([this] { a_ = Load("a", Tiered(1, 60)); });
  }

  LoaderPtr a_;
};

TEST_F(PostedDemotionTest, FromAnotherThreadItIsDoneByTheExecutor) {
  cache_->SetLimits({.max_device_bytes = 50});
  EXPECT_EQ(a_->log().demotions, 0);
  manual_->Run();
  EXPECT_EQ(a_->log().demotions, 1);
  EXPECT_EQ(cache_->Stats().demotions, 1U);
}

TEST_F(PostedDemotionTest, AModelThatIsAtWorkAgainMeanwhileStaysWhereItIs) {
  cache_->SetLimits({.max_device_bytes = 50});
  const ModelHandle handle = cache_->Lookup(Key("a"));
  manual_->Run();
  EXPECT_EQ(a_->log().demotions, 0);
  EXPECT_EQ(cache_->Stats().resident_bytes.device, 60U);
}

TEST_F(PostedDemotionTest, AModelErasedMeanwhileIsOnlyReleased) {
  cache_->SetLimits({.max_device_bytes = 50});
  cache_->Erase(Key("a"), "test");
  manual_->Run();
  EXPECT_EQ(a_->log().demotions, 0);
  EXPECT_EQ(a_->log().releases, 1);
}

}  // namespace
}  // namespace hearth
