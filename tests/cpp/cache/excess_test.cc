// What exceeds a limit while nobody can go, and when it goes.
#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "fakes/cache_fixture.h"

namespace hearth {
namespace {

class ExcessTest : public CacheTest {};

TEST_F(ExcessTest, WhatIsTooMuchGoesWhenItsLastHandleEnds) {
  Make({});
  Load("a");
  {
    const ModelHandle first = cache_->Lookup(Key("a"));
    {
      const ModelHandle second = cache_->Lookup(Key("a"));
      cache_->SetLimits({.max_models = 0});
    }
    EXPECT_EQ(ResidentNames(), "a");
  }
  EXPECT_EQ(ResidentNames(), "");
  EXPECT_EQ(LastEvent(EventKind::kEvicted).reason, "limit of 0 models");
}

TEST_F(ExcessTest, WhatIsTooMuchGoesWhenItIsUnpinned) {
  Make({});
  Load("a", LoaderOf(60));
  Load("b", LoaderOf(60));
  cache_->Pin(Key("a"));
  cache_->Pin(Key("b"));
  cache_->SetLimits({.max_host_bytes = 100});
  EXPECT_EQ(ResidentNames(), "ab");
  cache_->Unpin(Key("b"));
  EXPECT_EQ(ResidentNames(), "a");
  cache_->Unpin(Key("a"));
  EXPECT_EQ(ResidentNames(), "a");
}

TEST_F(ExcessTest, WhatRamFallsShortOfGoesWhenItIsUnpinned) {
  probe_ = std::make_shared<FakeMemoryProbe>(1000);
  Make({.min_free_host_bytes = 500});
  Load("a", Loader({.bytes = {0, 100, 0, 0}, .machine = probe_}));
  cache_->Pin(Key("a"));
  probe_->Take(800);  // another program
  cache_->Enforce();
  EXPECT_EQ(ResidentNames(), "a");
  cache_->Unpin(Key("a"));
  EXPECT_EQ(ResidentNames(), "");
}

TEST_F(ExcessTest, WhatWasIdleForLongGoesWhenItIsUnpinned) {
  Make({.idle_seconds = 10});
  Load("a");
  cache_->Pin(Key("a"));
  clock_->Advance(11);
  cache_->Enforce();
  EXPECT_EQ(ResidentNames(), "a");
  cache_->Unpin(Key("a"));
  EXPECT_EQ(ResidentNames(), "");
}

TEST_F(ExcessTest, WhatWithinTheLimitsEndsItsUseStays) {
  Make({.max_models = 1});
  {
    const ModelHandle handle = cache_->Acquire(Request(Key("a"), Loader()));
  }
  EXPECT_EQ(ResidentNames(), "a");
}

using PostedExcessTest = PostedCacheTest;

TEST_F(PostedExcessTest, ThePolicyChoosesAmongAllHandlesThatEndedTogether) {
  Make({});
  manual_->Run([this] {
    ModelHandle a = cache_->Acquire(Request(Key("a"), Loader()));
    ModelHandle b = cache_->Acquire(Request(Key("b"), Loader()));
    cache_->SetPolicy(MakeEvictionPolicy("lfu", std::nullopt));
    cache_->SetLimits({.max_models = 1});
    cache_->RecordUse(Key("a"), true);
    a = {};  // the first to end, but the more frequently used
    b = {};
  });
  EXPECT_EQ(ResidentNames(), "a");
}

TEST_F(ExcessTest, IdleTimeBeginsWhenTheUseEnds) {
  Make({.idle_seconds = 10});
  {
    const ModelHandle long_use = cache_->Acquire(Request(Key("a"), Loader()));
    clock_->Advance(100);
  }
  cache_->Enforce();
  EXPECT_EQ(ResidentNames(), "a");
  EXPECT_NEAR(*cache_->SecondsToNextExpiry(), 10, 1e-9);
}

}  // namespace
}  // namespace hearth
