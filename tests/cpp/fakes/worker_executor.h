#ifndef HEARTH_TESTS_FAKES_WORKER_EXECUTOR_H_
#define HEARTH_TESTS_FAKES_WORKER_EXECUTOR_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "base/executor.h"

namespace hearth {

// One thread that runs jobs as they come, as ComfyUI's prompt worker does between prompts.
class WorkerExecutor final : public Executor {
 public:
  WorkerExecutor() : thread_([this] { Work(); }) {}
  ~WorkerExecutor() override { Stop(); }

  bool IsCurrent() const override { return std::this_thread::get_id() == thread_.get_id(); }
  bool Post(std::function<void()> job) override {
    const std::lock_guard lock(mutex_);
    if (stopped_) return false;
    jobs_.push_back(std::move(job));
    changed_.notify_all();
    return true;
  }
  // Runs what is queued, then ends; later posts are refused.
  void Stop() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
  }
  // Returns when every job posted before has run.
  void Drain() {
    std::mutex mutex;
    std::condition_variable done;
    bool ran = false;
    Post([&] {
      const std::lock_guard lock(mutex);
      ran = true;
      done.notify_all();
    });
    std::unique_lock lock(mutex);
    done.wait(lock, [&] { return ran; });
  }
  std::thread::id id() const { return thread_.get_id(); }

 private:
  void Work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stopped_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      job = nullptr;
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool stopped_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_WORKER_EXECUTOR_H_
