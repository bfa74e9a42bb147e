#include "cache/model_cache.h"

#include <gtest/gtest.h>

#include <type_traits>

#include "base/error.h"
#include "fakes/cache_fixture.h"

namespace hearth {
namespace {

// Two handles of one lease would end it twice.
static_assert(!std::is_copy_constructible_v<ModelHandle>);
static_assert(!std::is_copy_assignable_v<ModelHandle>);
static_assert(std::is_nothrow_move_constructible_v<ModelHandle>);
static_assert(std::is_nothrow_move_assignable_v<ModelHandle>);

class ModelCacheTest : public CacheTest {
 protected:
  ModelCacheTest() { Make({}); }
};

TEST_F(ModelCacheTest, TheSecondRequestLoadsNothing) {
  const LoaderPtr loader = Load("a");
  EXPECT_TRUE(cache_->Acquire(Request(Key("a"), loader)).was_hit());
  EXPECT_EQ(loader->log().loads, 1);
  EXPECT_EQ(cache_->Stats().hits, 1U);
}

TEST_F(ModelCacheTest, LookupNeverLoads) {
  EXPECT_FALSE(cache_->Lookup(Key("a")));
  Load("a");
  EXPECT_TRUE(cache_->Lookup(Key("a")));
  EXPECT_FALSE(cache_->Lookup(Key("a", "2")));
}

TEST_F(ModelCacheTest, KindLoaderNameAndOptionsTellModelsApart) {
  Load("a");
  ModelKey other = Key("a");
  other.options = "fp8";
  EXPECT_FALSE(cache_->Lookup(other));
  other = Key("a");
  other.loader = "Other";
  EXPECT_FALSE(cache_->Lookup(other));
  EXPECT_FALSE(cache_->Lookup(Key("a", "1", ModelKind::kVae)));
}

TEST_F(ModelCacheTest, AFailedLoadIsNotKeptAndTheNextOneTriesAgain) {
  const LoaderPtr bad = Loader({.failure = "broken disk"});
  for (int i = 0; i < 3; ++i) {
    EXPECT_THROW((void)cache_->Acquire(Request(Key("a"), bad)), std::runtime_error);
  }
  EXPECT_EQ(bad->log().loads, 3);
  EXPECT_EQ(LastEvent(EventKind::kLoadFailed).reason, "broken disk");
  const LoaderPtr good = Load("a");
  EXPECT_EQ(good->log().loads, 1);
  EXPECT_EQ(LastEvent(EventKind::kOpened).reason, "load failed before");
}

TEST_F(ModelCacheTest, AChangedFileIsLoadedBeforeTheOldModelGoes) {
  const LoaderPtr old = Load("a");
  int releases_in_mid_load = -1;
  const LoaderPtr fresh = Loader({.during = [&] { releases_in_mid_load = old->log().releases; }});
  (void)cache_->Acquire(Request(Key("a", "2"), fresh));
  EXPECT_EQ(releases_in_mid_load, 0);
  EXPECT_EQ(old->log().releases, 1);
  EXPECT_EQ(LastEvent(EventKind::kOpened).reason, "file changed");
  EXPECT_EQ(LastEvent(EventKind::kReloaded).model, "a");
  EXPECT_EQ(cache_->Stats().resident, 1U);
}

TEST_F(ModelCacheTest, ABadNewFileLeavesTheOldModelResident) {
  const LoaderPtr old = Load("a");
  const LoaderPtr bad = Loader({.failure = "truncated"});
  EXPECT_THROW((void)cache_->Acquire(Request(Key("a", "2"), bad)), std::runtime_error);
  EXPECT_EQ(old->log().releases, 0);
  EXPECT_TRUE(cache_->Lookup(Key("a", "1")));
  EXPECT_NE(LastEvent(EventKind::kLoadFailed).reason.find("the model loaded before stays"),
            std::string::npos);
}

TEST_F(ModelCacheTest, AReplacedFileNeedsNoSecondPlaceUnderTheLimit) {
  Make({.max_models = 2});
  Load("a");
  Load("b");
  (void)cache_->Acquire(Request(Key("a", "2"), Loader()));
  EXPECT_EQ(ResidentNames(), "ab");
  EXPECT_EQ(cache_->Stats().evictions, 0U);
}

TEST_F(ModelCacheTest, ErasedWhileInUseTheModelGoesWithItsLastHandle) {
  const LoaderPtr loader = Loader();
  ModelHandle first = cache_->Acquire(Request(Key("a"), loader));
  ModelHandle second = cache_->Lookup(Key("a"));
  EXPECT_TRUE(cache_->Erase(Key("a"), "test"));
  EXPECT_FALSE(cache_->Lookup(Key("a")));
  first = ModelHandle();
  EXPECT_EQ(loader->log().releases, 0);
  second = ModelHandle();
  EXPECT_EQ(loader->log().releases, 1);
  EXPECT_EQ(loader->log().destroyed, 1);
}

TEST_F(ModelCacheTest, ErasingByNameTakesEveryLoaderOfIt) {
  Load("a");
  ModelKey other = Key("a");
  other.options = "fp8";
  (void)cache_->Acquire(Request(other, Loader()));
  EXPECT_EQ(cache_->EraseByName("a", "asked by the user"), 2U);
  EXPECT_EQ(cache_->EraseByName("a", "asked by the user"), 0U);
  Load("a");
  EXPECT_EQ(LastEvent(EventKind::kOpened).reason, "erased: asked by the user");
}

TEST_F(ModelCacheTest, AHandleMovesAndIsEmptyAfterwards) {
  Load("a");
  ModelHandle one = cache_->Lookup(Key("a"));
  ModelHandle two = std::move(one);
  EXPECT_FALSE(one);  // NOLINT: a moved-from handle is specified to be empty
  EXPECT_EQ(two.key(), Key("a"));
  EXPECT_EQ(cache_->Stats().in_use, 1U);
}

TEST_F(ModelCacheTest, TurnedOffItServesEverybodyAndKeepsNothing) {
  const LoaderPtr before = Load("a");
  cache_->SetLimits({.enabled = false});
  EXPECT_EQ(before->log().releases, 1);
  const LoaderPtr loader = Loader();
  {
    const ModelHandle handle = cache_->Acquire(Request(Key("a"), loader));
    EXPECT_FALSE(handle.cached());
    EXPECT_EQ(loader->log().releases, 0);
  }
  EXPECT_EQ(loader->log().releases, 1);
  EXPECT_EQ(LastEvent(EventKind::kServedUncached).reason, "keep_model_in_memory is off");
}

TEST_F(ModelCacheTest, APrewarmedModelIsAHit) {
  const LoaderPtr loader = Loader();
  const LoadTicket ticket = cache_->Prewarm(Request(Key("a"), loader));
  EXPECT_TRUE(ticket.IsReady());
  EXPECT_EQ(cache_->Stats().in_use, 0U);
  EXPECT_TRUE(cache_->Acquire(Request(Key("a"), Loader())).was_hit());
  EXPECT_TRUE(ticket.Wait());
  EXPECT_EQ(loader->log().loads, 1);
}

TEST_F(ModelCacheTest, ATicketThrowsWhatItsLoadThrew) {
  const LoadTicket ticket = cache_->Prewarm(Request(Key("a"), Loader({.failure = "no"})));
  EXPECT_TRUE(ticket.IsReady());
  EXPECT_THROW((void)ticket.Wait(), std::runtime_error);
}

TEST_F(ModelCacheTest, ALoaderThatAsksForItselfIsToldInsteadOfWaitingForEver) {
  const LoaderPtr loader = Loader();
  loader->plan().during = [&] { (void)cache_->Acquire(Request(Key("a"), Loader())); };
  EXPECT_THROW((void)cache_->Acquire(Request(Key("a"), loader)), Error);
  EXPECT_EQ(cache_->Stats().loading, 0U);
}

TEST_F(ModelCacheTest, ALoaderMayAskForAnotherModel) {
  const LoaderPtr inner = Loader();
  const LoaderPtr outer = Loader({.during = [&] { Load("inner", inner); }});
  Load("outer", outer);
  EXPECT_EQ(cache_->Stats().resident, 2U);
}

TEST_F(ModelCacheTest, EveryFailingLoadOfMoreLeavesTheRestIntact) {
  for (int failing = 0; failing < 8; ++failing) {
    Make({.max_models = 3});
    for (int i = 0; i < 8; ++i) {
      const LoaderPtr loader = Loader({.failure = i == failing ? "fails" : ""});
      try {
        Load("m" + std::to_string(i), loader);
      } catch (const std::runtime_error&) {
        EXPECT_EQ(i, failing);
      }
      EXPECT_EQ(cache_->Stats().loading, 0U);
    }
    // Room is made before the load, so the victim of a load that fails at last is gone.
    EXPECT_EQ(cache_->Stats().resident, failing == 7 ? 2U : 3U);
    EXPECT_EQ(cache_->Stats().load_failures, 1U);
    EXPECT_EQ(cache_->Stats().loads, 7U);
  }
}

TEST_F(ModelCacheTest, EventsNameWhoAskedAndHowBigTheModelIs) {
  LoadRequest request = Request(Key("a"), LoaderOf(77));
  request.asker = {"4", "prompt-1"};
  (void)cache_->Acquire(request);
  const CacheEvent event = LastEvent(EventKind::kOpened);
  EXPECT_EQ(event.asker.node, "4");
  EXPECT_EQ(event.asker.prompt, "prompt-1");
  EXPECT_EQ(event.bytes.anonymous, 77U);
  EXPECT_EQ(event.reason, "never loaded");
}

TEST_F(ModelCacheTest, AWeakUseRenewsTheIdleTimeAndIsNotCounted) {
  Load("a");
  EXPECT_TRUE(cache_->RecordUse(Key("a"), false));
  EXPECT_EQ(cache_->Residents()[0].idle_seconds, 0);
  EXPECT_EQ(cache_->Residents()[0].uses, 1U);
  EXPECT_TRUE(cache_->RecordUse(Key("a"), true));
  EXPECT_EQ(cache_->Residents()[0].uses, 2U);
  EXPECT_FALSE(cache_->RecordUse(Key("b"), true));
}

}  // namespace
}  // namespace hearth
