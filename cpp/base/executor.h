#ifndef HEARTH_BASE_EXECUTOR_H_
#define HEARTH_BASE_EXECUTOR_H_

#include <functional>

namespace hearth {

// The one thread on which models are loaded and released. In ComfyUI that is the prompt worker,
// because ComfyUI's memory code has no locks. Thread-safe.
class Executor {
 public:
  virtual ~Executor() = default;
  // True when the calling thread is the one that runs the jobs; such a caller may do the work
  // itself.
  virtual bool IsCurrent() const = 0;
  // Hands over a job; jobs run in the order they were posted. False when the executor is closed and
  // the job will never run. Never runs the job before returning, unless the executor is inline.
  virtual bool Post(std::function<void()> job) = 0;
};

// Runs every job at once on the caller's thread: for programs with one thread, and for tests.
class InlineExecutor final : public Executor {
 public:
  bool IsCurrent() const override { return true; }
  bool Post(std::function<void()> job) override {
    job();
    return true;
  }
};

}  // namespace hearth

#endif  // HEARTH_BASE_EXECUTOR_H_
