#ifndef HEARTH_BASE_MUTEX_H_
#define HEARTH_BASE_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

// Lock facts, checked by clang's -Wthread-safety and ignored by g++.
#if defined(__clang__)
#define HEARTH_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define HEARTH_THREAD_ATTRIBUTE(x)
#endif
#define HEARTH_CAPABILITY(name) HEARTH_THREAD_ATTRIBUTE(capability(name))
#define HEARTH_SCOPED_CAPABILITY HEARTH_THREAD_ATTRIBUTE(scoped_lockable)
#define HEARTH_GUARDED_BY(mutex) HEARTH_THREAD_ATTRIBUTE(guarded_by(mutex))
#define HEARTH_REQUIRES(...) HEARTH_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define HEARTH_EXCLUDES(...) HEARTH_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define HEARTH_ACQUIRE(...) HEARTH_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define HEARTH_RELEASE(...) HEARTH_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define HEARTH_NO_THREAD_SAFETY_ANALYSIS HEARTH_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace hearth {

class HEARTH_CAPABILITY("mutex") Mutex {
 public:
  void Lock() HEARTH_ACQUIRE() { mutex_.lock(); }
  void Unlock() HEARTH_RELEASE() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class HEARTH_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) HEARTH_ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() HEARTH_RELEASE() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class CondVar {
 public:
  // May wake for no reason: call it in a loop that checks what is waited for.
  void Wait(Mutex& mutex) HEARTH_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // The same, and wakes at `until` at the latest.
  void WaitUntil(Mutex& mutex, std::chrono::steady_clock::time_point until) HEARTH_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait_until(lock, until);
    lock.release();
  }
  void NotifyAll() noexcept { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace hearth

#endif  // HEARTH_BASE_MUTEX_H_
