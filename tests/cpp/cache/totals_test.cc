#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "cache/recount.h"
#include "fakes/cache_fixture.h"
#include "fakes/worker_fixture.h"

namespace hearth {
namespace {

// Whatever can happen to a cache, in an order that the seed gives.
class Happenings {
 public:
  Happenings(ModelCache& cache, unsigned seed) : cache_(cache), random_(seed) {}

  void One() {
    const ModelKey key = AnyKey();
    switch (Below(16)) {
      case 0:
        cache_.UpdateBytes(key, AnyBytes());
        break;
      case 1:
        cache_.Erase(key, "test");
        break;
      case 2:
        cache_.RecordUse(key, Below(2) == 0);
        break;
      case 3:
        cache_.LingeringGone(key);
        break;
      case 4:
        cache_.FreeLingering(key);
        break;
      case 5:
        Below(2) == 0 ? cache_.Pin(key) : cache_.Unpin(key);
        break;
      case 6:
        cache_.Trim(Below(2) * 50, 50, "test");
        break;
      case 7:
        cache_.SetLimits(AnyLimits());
        break;
      case 8:
        (void)cache_.Prewarm(AnyRequest(key));
        break;
      default:
        Hold(cache_.Acquire(AnyRequest(key)));
    }
  }

 private:
  unsigned Below(unsigned end) { return static_cast<unsigned>(random_() % end); }
  ModelKey AnyKey() {
    const ModelKind kind = Below(3) == 0 ? ModelKind::kVae : ModelKind::kCheckpoint;
    return Key("m" + std::to_string(Below(6)), std::to_string(Below(8) == 0), kind);
  }
  TierBytes AnyBytes() { return {Below(40), Below(40), Below(40), Below(40)}; }
  LoadRequest AnyRequest(const ModelKey& key) {
    FakeModelPlan plan;
    plan.bytes = AnyBytes();
    plan.has_host_tier = Below(2) == 0;
    plan.lingers = Below(3) == 0;
    plan.reclaimable = Below(2) == 0;
    plan.lets_go = Below(2) == 0;
    return Request(key, Loader(plan));
  }
  CacheLimits AnyLimits() {
    CacheLimits limits;
    limits.enabled = Below(8) != 0;
    if (Below(2) == 0) limits.max_models = 1 + Below(4);
    if (Below(2) == 0) limits.max_host_bytes = 200;
    if (Below(2) == 0) limits.max_device_bytes = 60;
    return limits;
  }
  void Hold(ModelHandle handle) {
    if (held_.size() == 3) held_.erase(held_.begin() + Below(3));
    if (Below(3) == 0) held_.push_back(std::move(handle));
  }

  ModelCache& cache_;
  std::mt19937 random_;
  std::vector<ModelHandle> held_;
};

class TotalsTest : public CacheTest {};

TEST_F(TotalsTest, AreARecountWhateverHappened) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    Make({});
    Happenings happenings(*cache_, seed);
    for (int i = 0; i < 300 && !HasFailure(); ++i) {
      happenings.One();
      ExpectTotalsAreARecount(*cache_);
    }
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

TEST_F(TotalsTest, OfACacheThatLeavesItsResidentsBehindAreNothing) {
  Make({});
  Load("a");
  cache_->Shutdown(true);
  ExpectTotalsAreARecount(*cache_);
  EXPECT_EQ(cache_->Stats().resident_bytes.total(), 0U);
}

using ThreadsTest = WorkerCacheTest;

TEST_F(ThreadsTest, OfFourThreadsTheTotalsAreARecountToo) {
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) {
    threads.emplace_back([this, seed] {
      Happenings happenings(*cache_, seed);
      for (int i = 0; i < 500; ++i) happenings.One();
    });
  }
  for (std::thread& thread : threads) thread.join();
  worker_->Drain();
  ExpectTotalsAreARecount(*cache_);
}

}  // namespace
}  // namespace hearth
