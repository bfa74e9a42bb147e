// The one place where what hearth._torch throws becomes Python's.
#include <c10/util/Exception.h>
#include <pybind11/pybind11.h>
#include <torch/csrc/Exceptions.h>

#include <exception>

#include "native/error_classes.h"
#include "native/torch/bind.h"

namespace py = pybind11;

namespace hearth {
namespace {

// torch knows its own errors: memory that did not suffice must be torch.OutOfMemoryError to whoever
// frees some and tries again.
void Translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const Error& error) {
    RaiseInPython(error);
  } catch (const c10::Error&) {
    torch::translate_exception_to_python(pointer);
  } catch (const python_error&) {
    torch::translate_exception_to_python(pointer);
  }
}

}  // namespace

void RegisterErrors(py::module_&) {
  LoadErrorClasses();
  py::register_local_exception_translator(&Translate);
}

}  // namespace hearth
