#include "model/model_key.h"

#include <pybind11/operators.h>
#include <pybind11/pybind11.h>

#include <string>

#include "native/bind.h"

namespace py = pybind11;

namespace hearth {
namespace {

ModelKey MakeKey(const std::string& kind, std::string loader, std::string name, std::string options,
                 std::string identity) {
  return {ModelKindFromString(kind), std::move(loader), std::move(name), std::move(options),
          std::move(identity)};
}

std::string Repr(const ModelKey& key) {
  return "ModelKey(" + std::string(ToString(key.kind)) + " '" + key.name + "' by " + key.loader +
         ")";
}

}  // namespace

void BindModelKey(py::module_& module) {
  py::class_<ModelKey>(module, "ModelKey", "What a model is called; immutable and hashable.")
      .def(py::init(&MakeKey), py::arg("kind"), py::arg("loader"), py::arg("name"),
           py::arg("options") = "", py::arg("identity") = "")
      .def_property_readonly("kind", [](const ModelKey& key) { return ToString(key.kind); })
      .def_readonly("loader", &ModelKey::loader)
      .def_readonly("name", &ModelKey::name)
      .def_readonly("options", &ModelKey::options)
      .def_readonly("identity", &ModelKey::identity)
      .def(py::self == py::self)
      .def("__hash__", [](const ModelKey& key) { return ModelKeyHash()(key); })
      .def("__repr__", &Repr);
}

}  // namespace hearth
