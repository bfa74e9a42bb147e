#ifndef HEARTH_NATIVE_PYTHON_CACHE_H_
#define HEARTH_NATIVE_PYTHON_CACHE_H_

#include <pybind11/pybind11.h>

#include <memory>
#include <utility>

#include "cache/model_cache.h"

namespace hearth {

// A handle as Python holds it: close() may be called twice, and the last reference going away
// closes it too. Closing may release a model, so it is done without the GIL.
class PythonHandle {
 public:
  explicit PythonHandle(ModelHandle handle) : handle_(std::move(handle)) {}
  PythonHandle(PythonHandle&&) = default;
  PythonHandle& operator=(PythonHandle&&) = delete;
  ~PythonHandle() { Close(); }

  void Close() {
    if (!handle_) return;
    ModelHandle closing = std::move(handle_);
    pybind11::gil_scoped_release release;
    closing = ModelHandle();
  }
  // Throws ValueError when closed.
  const ModelHandle& get() const {
    if (!handle_) throw pybind11::value_error("this model handle is closed");
    return handle_;
  }
  bool closed() const { return !handle_; }

 private:
  ModelHandle handle_;
};

// ModelCache as a Python class; the global runtime hands out the same type.
using PythonCacheClass = pybind11::class_<ModelCache, std::shared_ptr<ModelCache>>;

// The parts of the class, each in the file its name says.
void BindHandles(pybind11::module_& module);
void BindCacheReports(PythonCacheClass& cache);

}  // namespace hearth

#endif  // HEARTH_NATIVE_PYTHON_CACHE_H_
