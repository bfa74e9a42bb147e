// hearth._torch: models of the engine through the process's cache, which both modules share through
// libhearth_core.
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>
#include <torch/csrc/utils/pybind.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "native/torch/bind.h"
#include "runtime/global_runtime.h"
#include "runtime_torch/engine_lease.h"

namespace py = pybind11;

namespace hearth {
namespace {

using namespace py::literals;

// Ctrl-C while files are read; the signal's exception stays set in this thread.
bool WasInterrupted() {
  const py::gil_scoped_acquire gil;
  return PyErr_CheckSignals() != 0;
}

EngineRequest RequestOf(const std::string& kind, std::string loader, std::string name,
                        const std::vector<std::filesystem::path>& paths) {
  EngineRequest request;
  request.kind = ModelKindFromString(kind);
  request.loader = std::move(loader);
  request.name = std::move(name);
  for (const std::filesystem::path& path : paths) request.wish.paths.push_back(path.string());
  if (paths.empty()) throw py::value_error("a model has at least one file");
  request.wish.is_unwanted = &WasInterrupted;
  return request;
}

std::unique_ptr<EngineLease> Acquire(const EngineRequest& request) {
  try {
    const py::gil_scoped_release no_gil;
    return std::make_unique<EngineLease>(AcquireEngineModel(GlobalRuntime(), request));
  } catch (const Error&) {
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
    throw;
  }
}

void BindRequest(py::module_& module) {
  using Self = EngineRequest;
  py::class_<Self>(module, "EngineRequest", "What a model of the engine is asked for by.")
      .def(py::init(&RequestOf), "kind"_a, "loader"_a, "name"_a, "paths"_a,
           "`kind`: of a ModelKey. `paths`: one file, or the shards of one model.")
      .def_property_readonly("key", &EngineKey,
                             "What the model is called in the cache, its files as they are now.")
      .def_readwrite("options", &Self::options, "Every other input of the loader, as one text.")
      .def_readwrite("fused", &Self::fused,
                     "On a GPU: fewer passes over memory, with fewer roundings than ComfyUI's.")
      .def_property(
          "fp8", [](const Self& self) { return self.wish.placement.has_short_products; },
          [](Self& self, bool fp8) { self.wish.placement.has_short_products = fp8; },
          "With `fused`: a transformer's matrix products in 8-bit floats; experimental.")
      .def_property(
          "device", [](const Self& self) { return self.wish.placement.device; },
          [](Self& self, at::Device device) { self.wish.placement.device = device; })
      .def_property(
          "compute_type", [](const Self& self) { return self.wish.placement.compute_type; },
          [](Self& self, at::ScalarType type) { self.wish.placement.compute_type = type; })
      .def_property(
          "node", [](const Self& self) { return self.asker.node; },
          [](Self& self, std::string node) { self.asker.node = std::move(node); })
      .def_property(
          "prompt", [](const Self& self) { return self.asker.prompt; },
          [](Self& self, std::string prompt) { self.asker.prompt = std::move(prompt); });
}

}  // namespace

void BindEngine(py::module_& module) {
  BindRequest(module);
  py::class_<EngineLease>(module, "EngineLease",
                          "A model in use: it or a part of it being alive, nothing evicts it.")
      .def_property_readonly("transformer", &EngineLease::transformer)
      .def_property_readonly("programs", &EngineLease::programs)
      .def_property_readonly("text_encoder", &EngineLease::text_encoder)
      .def_property_readonly("vae", &EngineLease::vae)
      .def_property_readonly("key", &EngineLease::key)
      .def_property_readonly("was_hit", &EngineLease::was_hit)
      .def_property_readonly("cached", &EngineLease::cached)
      .def("require_sound", &EngineLease::RequireSound, py::call_guard<py::gil_scoped_release>(),
           "Raises CheckpointCorruptError when the files are no longer what was loaded.");
  module.def("acquire_engine_model", &Acquire, "request"_a,
             "Through the process's cache; loaded first if absent, on the runtime's executor.");
}

}  // namespace hearth
