#ifndef HEARTH_RUNTIME_QUEUE_EXECUTOR_H_
#define HEARTH_RUNTIME_QUEUE_EXECUTOR_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

#include "base/executor.h"

namespace hearth {

// Keeps jobs until the thread that owns the models comes by and runs them. In ComfyUI that is the
// prompt worker, between two prompts. Thread-safe.
class QueueExecutor final : public Executor {
 public:
  // `wake` is called after each Post, on the posting thread and outside the lock; it tells the
  // owning thread to come by. It must not throw.
  explicit QueueExecutor(std::function<void()> wake = {});
  ~QueueExecutor() override;

  // False on every thread until one was adopted.
  bool IsCurrent() const override;
  bool Post(std::function<void()> job) override;

  void SetWake(std::function<void()> wake);
  // From now on the calling thread is the one that jobs run on.
  void AdoptCurrentThread();
  // Adopts the thread and runs what is queued, jobs posted meanwhile included, until the queue is
  // empty or the budget is spent; at least one job is run. A job's exception is logged, ends only
  // that job. Returns how many were run.
  std::size_t RunPending(std::optional<double> budget_seconds = std::nullopt);
  bool has_pending() const;
  // Refuses further jobs and drops those not begun.
  void Close();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth

#endif  // HEARTH_RUNTIME_QUEUE_EXECUTOR_H_
