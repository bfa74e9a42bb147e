// The one place where what hearth._core throws becomes Python's.
#include <pybind11/pybind11.h>

#include <exception>

#include "native/bind.h"
#include "native/error_classes.h"
#include "native/python_model.h"

namespace py = pybind11;

namespace hearth {
namespace {

void Translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const PythonLoadError& error) {
    const py::object value = error.value();
    PyErr_SetObject(py::type::handle_of(value).ptr(), value.ptr());
  } catch (const Error& error) {
    RaiseInPython(error);
  }
}

}  // namespace

void RegisterErrors(py::module_&) {
  LoadErrorClasses();
  py::register_local_exception_translator(&Translate);
}

}  // namespace hearth
