#include <pybind11/pybind11.h>

#include "native/python_cache.h"
#include "native/python_model.h"

namespace py = pybind11;

namespace hearth {
namespace {

py::object Value(const PythonHandle& self) {
  // The engine's models are in the same cache, and no Python objects.
  const auto* const resident = dynamic_cast<PythonResident*>(&*self.get());
  if (resident == nullptr) throw py::type_error("this model is hearth's engine's, not Python's");
  return resident->value();
}

void BindModelHandle(py::module_& module) {
  py::class_<PythonHandle>(module, "ModelHandle",
                           "Keeps one model alive and out of eviction's reach; a context manager.")
      .def_property_readonly("value", &Value)
      .def_property_readonly("key", [](const PythonHandle& self) { return self.get().key(); })
      .def_property_readonly("cached", [](const PythonHandle& self) { return self.get().cached(); })
      .def_property_readonly("was_hit",
                             [](const PythonHandle& self) { return self.get().was_hit(); })
      .def_property_readonly("closed", &PythonHandle::closed)
      .def("close", &PythonHandle::Close)
      .def("__enter__", [](py::object self) { return self; })
      .def("__exit__", [](PythonHandle& self, const py::args&) { self.Close(); });
}

void BindLoadTicket(py::module_& module) {
  py::class_<LoadTicket>(module, "LoadTicket", "A load under way, shared by all who asked for it.")
      .def_property_readonly("ready", &LoadTicket::IsReady)
      .def("wait", [](const LoadTicket& self) {
        ModelHandle handle;
        {
          py::gil_scoped_release release;
          handle = self.Wait();
        }
        return PythonHandle(std::move(handle));
      });
}

}  // namespace

void BindHandles(py::module_& module) {
  BindModelHandle(module);
  BindLoadTicket(module);
}

}  // namespace hearth
