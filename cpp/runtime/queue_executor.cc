#include "runtime/queue_executor.h"

#include <chrono>
#include <deque>
#include <exception>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"

namespace hearth {

class QueueExecutor::Impl {
 public:
  explicit Impl(std::function<void()> wake) { SetWake(std::move(wake)); }

  bool IsCurrent() const {
    MutexLock lock(mutex_);
    return owner_ == std::this_thread::get_id();
  }

  bool Post(std::function<void()> job) {
    std::shared_ptr<const std::function<void()>> wake;
    {
      MutexLock lock(mutex_);
      if (closed_) return false;
      jobs_.push_back(std::move(job));
      wake = wake_;
    }
    if (*wake) (*wake)();
    return true;
  }

  void SetWake(std::function<void()> wake) {
    auto next = std::make_shared<const std::function<void()>>(std::move(wake));
    MutexLock lock(mutex_);
    wake_.swap(next);
  }

  void AdoptCurrentThread() {
    MutexLock lock(mutex_);
    owner_ = std::this_thread::get_id();
  }

  std::function<void()> TakeJob() {
    MutexLock lock(mutex_);
    if (jobs_.empty()) return {};
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    return job;
  }

  bool has_pending() const {
    MutexLock lock(mutex_);
    return !jobs_.empty();
  }

  void Close() {
    std::deque<std::function<void()>> dropped;  // destroyed outside the lock: jobs own models
    MutexLock lock(mutex_);
    closed_ = true;
    dropped.swap(jobs_);
  }

 private:
  mutable Mutex mutex_;
  std::deque<std::function<void()>> jobs_ HEARTH_GUARDED_BY(mutex_);
  std::shared_ptr<const std::function<void()>> wake_ HEARTH_GUARDED_BY(mutex_);
  std::thread::id owner_ HEARTH_GUARDED_BY(mutex_);
  bool closed_ HEARTH_GUARDED_BY(mutex_) = false;
};

QueueExecutor::QueueExecutor(std::function<void()> wake)
    : impl_(std::make_unique<Impl>(std::move(wake))) {}
QueueExecutor::~QueueExecutor() = default;

bool QueueExecutor::IsCurrent() const { return impl_->IsCurrent(); }
bool QueueExecutor::Post(std::function<void()> job) { return impl_->Post(std::move(job)); }
void QueueExecutor::SetWake(std::function<void()> wake) { impl_->SetWake(std::move(wake)); }
void QueueExecutor::AdoptCurrentThread() { impl_->AdoptCurrentThread(); }
bool QueueExecutor::has_pending() const { return impl_->has_pending(); }
void QueueExecutor::Close() { impl_->Close(); }

std::size_t QueueExecutor::RunPending(std::optional<double> budget_seconds) {
  impl_->AdoptCurrentThread();
  const auto start = std::chrono::steady_clock::now();
  std::size_t done = 0;
  while (std::function<void()> job = impl_->TakeJob()) {
    try {
      job();
    } catch (const std::exception& error) {
      LogError("executor_job_failed", {{"error", error.what()}});
    }
    ++done;
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    if (budget_seconds && spent.count() >= *budget_seconds) break;
  }
  return done;
}

}  // namespace hearth
