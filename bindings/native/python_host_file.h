#ifndef HEARTH_NATIVE_PYTHON_HOST_FILE_H_
#define HEARTH_NATIVE_PYTHON_HOST_FILE_H_

#include <pybind11/pybind11.h>

#include <memory>
#include <utility>

#include "base/mutex.h"
#include "hosttier/host_tier.h"

namespace hearth {

// A handle as Python holds it: close() may be called twice, and by one thread while another waits
// in a call without the GIL. Thread-safe.
class PythonHostFile {
 public:
  explicit PythonHostFile(HostFileHandle handle) : state_(std::make_unique<State>()) {
    MutexLock lock(state_->mutex);
    state_->handle = std::move(handle);
  }

  void Close() {
    MutexLock lock(state_->mutex);
    state_->handle = HostFileHandle();
  }
  bool closed() const {
    MutexLock lock(state_->mutex);
    return !state_->handle;
  }
  // A handle of the caller's own. Throws ValueError when closed.
  HostFileHandle get() const {
    MutexLock lock(state_->mutex);
    if (!state_->handle) throw pybind11::value_error("this host file is closed");
    return state_->handle.Duplicate();
  }

 private:
  struct State {
    Mutex mutex;
    HostFileHandle handle HEARTH_GUARDED_BY(mutex);
  };
  std::unique_ptr<State> state_;
};

}  // namespace hearth

#endif  // HEARTH_NATIVE_PYTHON_HOST_FILE_H_
