#ifndef HEARTH_TESTS_FAKES_CACHE_FIXTURE_H_
#define HEARTH_TESTS_FAKES_CACHE_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cache/model_cache.h"
#include "fakes/fake_model.h"
#include "fakes/manual_clock.h"
#include "fakes/manual_executor.h"

namespace hearth {

inline ModelKey Key(const std::string& name, const std::string& identity = "1",
                    ModelKind kind = ModelKind::kCheckpoint) {
  return {kind, "Loader", name, "", identity};
}

using LoaderPtr = std::shared_ptr<FakeLoader>;

inline LoaderPtr Loader(FakeModelPlan plan = {}) {
  return std::make_shared<FakeLoader>(std::move(plan));
}

inline LoaderPtr LoaderOf(std::uint64_t host_bytes, std::uint64_t device_bytes = 0) {
  return Loader({.bytes = {0, host_bytes, 0, device_bytes}});
}

// The request of a loader whose size is known beforehand, as a file's is.
inline LoadRequest Request(const ModelKey& key, const LoaderPtr& loader) {
  return {key, loader, loader->plan().bytes, {}, WhenBusy::kServeUncached};
}

// A cache with verbs of the domain.
class CacheTest : public ::testing::Test {
 protected:
  void Make(CacheLimits limits, const std::string& policy = "lru") {
    limits_ = limits;
    ModelCache::Parts parts;
    parts.limits = limits;
    parts.policy = MakeEvictionPolicy(policy, limits.idle_seconds);
    parts.executor = executor_;
    parts.clock = clock_;
    parts.probe = probe_;
    parts.events = std::make_shared<EventRing>(256, clock_);
    cache_ = std::make_unique<ModelCache>(std::move(parts));
  }

  // Loads or hits, lets go at once, and lets a second pass.
  LoaderPtr Load(const std::string& name, LoaderPtr loader = Loader()) {
    (void)cache_->Acquire(Request(Key(name), loader));
    clock_->Advance(1);
    return loader;
  }

  std::string ResidentNames() const {
    std::vector<std::string> names;
    for (const ResidentView& view : cache_->Residents()) {
      if (!view.lingering) names.push_back(view.key.name);
    }
    std::sort(names.begin(), names.end());
    std::string joined;
    for (const std::string& name : names) joined += name;
    return joined;
  }

  // The last event of that kind; fails the test when there is none.
  CacheEvent LastEvent(EventKind kind) const {
    CacheEvent found;
    for (const CacheEvent& event : cache_->events().Since(0, 10000)) {
      if (event.kind == kind) found = event;
    }
    EXPECT_GT(found.sequence, 0U) << "no event " << ToString(kind);
    return found;
  }

  CacheLimits limits_;
  std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  std::shared_ptr<Executor> executor_ = std::make_shared<InlineExecutor>();
  std::shared_ptr<FakeMemoryProbe> probe_;
  std::unique_ptr<ModelCache> cache_;
};

// A cache whose jobs wait until the test runs them.
class PostedCacheTest : public CacheTest {
 protected:
  PostedCacheTest() { executor_ = manual_; }
  // A job that is never run keeps the cache, which keeps the executor, which keeps the job.
  ~PostedCacheTest() override {
    manual_->Run([this] { cache_.reset(); });
  }

  std::shared_ptr<ManualExecutor> manual_ = std::make_shared<ManualExecutor>();
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_CACHE_FIXTURE_H_
