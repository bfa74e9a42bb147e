#ifndef HEARTH_TESTS_FAKES_MANUAL_EXECUTOR_H_
#define HEARTH_TESTS_FAKES_MANUAL_EXECUTOR_H_

#include <deque>
#include <functional>
#include <utility>

#include "base/executor.h"

namespace hearth {

// Keeps jobs until the test runs or drops them. For one thread, which is the executor's own only
// inside Run().
class ManualExecutor final : public Executor {
 public:
  bool IsCurrent() const override { return running_; }
  bool Post(std::function<void()> job) override {
    if (!closed_) jobs_.push_back(std::move(job));
    return !closed_;
  }

  // Runs `work` as the executor's thread, then every job.
  void Run(const std::function<void()>& work = {}) {
    running_ = true;
    if (work) work();
    while (!jobs_.empty()) {
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      job();
    }
    running_ = false;
  }
  // As an executor does that ends: what was not begun is dropped, further jobs are refused.
  void Close() {
    closed_ = true;
    jobs_.clear();
  }

 private:
  std::deque<std::function<void()>> jobs_;
  bool running_ = false;
  bool closed_ = false;
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_MANUAL_EXECUTOR_H_
