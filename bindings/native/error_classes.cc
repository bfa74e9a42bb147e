// Which Python class stands for which C++ error. The classes are written in Python
// (hearth/errors.py), where they can have the builtin cousins that callers expect.
#include "native/error_classes.h"

#include <pybind11/gil_safe_call_once.h>
#include <pybind11/pybind11.h>

namespace py = pybind11;

namespace hearth {
namespace {

PYBIND11_CONSTINIT py::gil_safe_call_once_and_store<py::object> classes;

template <typename... Details>
void RaiseAs(const char* name, const Error& error, const Details&... details) {
  const py::object type = classes.get_stored().attr(name);
  PyErr_SetObject(type.ptr(), type(error.what(), details...).ptr());
}

}  // namespace

void LoadErrorClasses() {
  classes.call_once_and_store_result(
      [] { return py::object(py::module_::import("hearth.errors")); });
}

void RaiseInPython(const Error& error) {
  if (const auto* config = dynamic_cast<const ConfigError*>(&error)) {
    RaiseAs("ConfigError", error, config->pointer());
  } else if (dynamic_cast<const CheckpointNotFound*>(&error) != nullptr) {
    RaiseAs("CheckpointNotFoundError", error);
  } else if (const auto* corrupt = dynamic_cast<const CheckpointCorrupt*>(&error)) {
    RaiseAs("CheckpointCorruptError", error, corrupt->file_name(), corrupt->byte_offset(),
            corrupt->tensor(), corrupt->expected());
  } else if (const auto* mismatch = dynamic_cast<const CheckpointMismatch*>(&error)) {
    RaiseAs("CheckpointMismatchError", error, mismatch->tensor(), mismatch->looks_like());
  } else if (dynamic_cast<const DeviceOutOfMemory*>(&error) != nullptr) {
    RaiseAs("DeviceOutOfMemoryError", error);
  } else if (dynamic_cast<const CacheBusy*>(&error) != nullptr) {
    RaiseAs("CacheBusyError", error);
  } else if (dynamic_cast<const CacheClosed*>(&error) != nullptr) {
    RaiseAs("CacheClosedError", error);
  } else if (dynamic_cast<const CudaError*>(&error) != nullptr) {
    RaiseAs("CudaError", error);
  } else {
    RaiseAs("HearthError", error);
  }
}

}  // namespace hearth
