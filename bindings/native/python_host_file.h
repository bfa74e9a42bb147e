#ifndef HEARTH_NATIVE_PYTHON_HOST_FILE_H_
#define HEARTH_NATIVE_PYTHON_HOST_FILE_H_

#include <pybind11/pybind11.h>

#include <utility>

#include "hosttier/host_tier.h"

namespace hearth {

// A handle as Python holds it: close() may be called twice.
class PythonHostFile {
 public:
  explicit PythonHostFile(HostFileHandle handle) : handle_(std::move(handle)) {}

  void Close() { handle_ = HostFileHandle(); }
  bool closed() const { return !handle_; }
  // Throws ValueError when closed.
  const HostFileHandle& get() const {
    if (!handle_) throw pybind11::value_error("this host file is closed");
    return handle_;
  }

 private:
  HostFileHandle handle_;
};

}  // namespace hearth

#endif  // HEARTH_NATIVE_PYTHON_HOST_FILE_H_
