// The one place where C++ errors become Python's. The classes are written in Python
// (hearth/errors.py), where they can have the builtin cousins that callers expect.
#include <pybind11/gil_safe_call_once.h>
#include <pybind11/pybind11.h>

#include <exception>

#include "base/error.h"
#include "native/bind.h"
#include "native/python_model.h"

namespace py = pybind11;

namespace hearth {
namespace {

PYBIND11_CONSTINIT py::gil_safe_call_once_and_store<py::object> error_classes;

py::object ErrorClass(const char* name) { return error_classes.get_stored().attr(name); }

void Raise(const py::object& error) {
  PyErr_SetObject(py::type::handle_of(error).ptr(), error.ptr());
}

void RaiseAs(const char* name, const std::exception& error) {
  Raise(ErrorClass(name)(error.what()));
}

void Translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const PythonLoadError& error) {
    Raise(error.value());
  } catch (const ConfigError& error) {
    Raise(ErrorClass("ConfigError")(error.what(), error.pointer()));
  } catch (const CheckpointNotFound& error) {
    RaiseAs("CheckpointNotFoundError", error);
  } catch (const CheckpointCorrupt& error) {
    Raise(ErrorClass("CheckpointCorruptError")(error.what(), error.file_name(), error.byte_offset(),
                                               error.tensor(), error.expected()));
  } catch (const DeviceOutOfMemory& error) {
    RaiseAs("DeviceOutOfMemoryError", error);
  } catch (const CacheBusy& error) {
    RaiseAs("CacheBusyError", error);
  } catch (const CacheClosed& error) {
    RaiseAs("CacheClosedError", error);
  } catch (const CudaError& error) {
    RaiseAs("CudaError", error);
  } catch (const Error& error) {
    RaiseAs("HearthError", error);
  }
}

}  // namespace

void RegisterErrors(py::module_&) {
  error_classes.call_once_and_store_result(
      [] { return py::object(py::module_::import("hearth.errors")); });
  py::register_local_exception_translator(&Translate);
}

}  // namespace hearth
