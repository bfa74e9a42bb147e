// hearth._torch.CheckpointTensors. Files are held by the process's one host tier, which both
// modules share through libhearth_core.
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>
#include <torch/csrc/utils/pybind.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "native/torch/bind.h"
#include "runtime/global_runtime.h"
#include "weights/checkpoint_tensors.h"
#include "weights/file_kind.h"

namespace py = pybind11;

namespace hearth {
namespace {

using Released = py::call_guard<py::gil_scoped_release>;

std::vector<HostFileHandle> Hold(const std::vector<std::filesystem::path>& paths) {
  std::vector<HostFileHandle> files;
  for (const std::filesystem::path& path : paths) {
    files.push_back(GlobalRuntime().host_tier()->Hold(path.string()));
  }
  return files;
}

at::Tensor Get(const CheckpointTensors& self, const std::string& name) {
  at::Tensor tensor = self.Find(name);
  if (!tensor.defined()) throw py::key_error(name);
  return tensor;
}

std::vector<std::string> Names(const CheckpointTensors& self) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : self.all()) names.push_back(name);
  return names;
}

}  // namespace

void BindWeights(py::module_& module) {
  using Class = py::class_<CheckpointTensors, std::shared_ptr<CheckpointTensors>>;
  Class(module, "CheckpointTensors", "The tensors of one model, by the names of its file.")
      .def(py::init([](const std::vector<std::filesystem::path>& paths) {
             return std::make_shared<CheckpointTensors>(Hold(paths));
           }),
           py::arg("paths"), Released(),
           "Views of held files: one, or the shards of one model. Read-only: writing ends the\n"
           "process. Raises CheckpointNotFoundError and CheckpointCorruptError.")
      .def_static(
          "of",
          [](std::string name, const std::map<std::string, at::Tensor>& tensors) {
            return std::make_shared<CheckpointTensors>(
                std::move(name), CheckpointTensors::Map(tensors.begin(), tensors.end()));
          },
          py::arg("name"), py::arg("tensors"),
          "Tensors that somebody else owns; the name must differ for different ones.")
      .def("__getitem__", &Get, py::arg("name"), "Raises KeyError.")
      .def("__contains__", &CheckpointTensors::Has, py::arg("name"))
      .def("__len__", [](const CheckpointTensors& self) { return self.all().size(); })
      .def("names", &Names, "Sorted.")
      .def_property_readonly("name", &CheckpointTensors::name, "The file's, for people.")
      .def_property_readonly("identity", &CheckpointTensors::identity,
                             "Equal for equal bytes only.")
      .def("require_sound", &CheckpointTensors::RequireSound, Released(),
           "Raises CheckpointCorruptError when the files are no longer what was held; to be asked\n"
           "after work, before its result is used.")
      .def("looks_like", &LooksLike, Released(),
           "What kind of file it is by its names, for people; empty when unknown.");
}

}  // namespace hearth
