#ifndef HEARTH_TESTS_FAKES_WORKER_FIXTURE_H_
#define HEARTH_TESTS_FAKES_WORKER_FIXTURE_H_

#include <memory>

#include "fakes/cache_fixture.h"
#include "fakes/worker_executor.h"

namespace hearth {

// A cache whose models belong to a thread of their own.
class WorkerCacheTest : public CacheTest {
 protected:
  WorkerCacheTest() {
    executor_ = worker_;
    Make({});
  }
  // The worker ends before the last reference to it does, which a job of its own may hold.
  ~WorkerCacheTest() override {
    cache_.reset();
    worker_->Stop();
  }

  std::shared_ptr<WorkerExecutor> worker_ = std::make_shared<WorkerExecutor>();
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_WORKER_FIXTURE_H_
