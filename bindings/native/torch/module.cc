// hearth._torch: the rooms that work on tensors. Loads only beside the torch it was built against.
#include <pybind11/pybind11.h>

#include <string>
#include <string_view>

#include "native/torch/bind.h"

namespace py = pybind11;

namespace {

// "2.11" of "2.11.0+cu130": what decides whether C++ built against one torch works with another.
std::string_view Minor(std::string_view version) {
  return version.substr(0, version.find('.', version.find('.') + 1));
}

// Another torch may load and then compute nonsense, so this comes before anything is registered.
void RequireTorchOfTheBuild() {
  const std::string running = py::str(py::module_::import("torch").attr("__version__"));
  if (Minor(running) == Minor(HEARTH_TORCH_VERSION)) return;
  const std::string message =
      "it was built against torch " HEARTH_TORCH_VERSION ", and this is torch " + running;
  throw py::import_error(message.c_str());
}

}  // namespace

PYBIND11_MODULE(_torch, module) {
  RequireTorchOfTheBuild();
  module.doc() = "What hearth computes on tensors: the steps of samplers, and Z-Image.";
  module.def(
      "native_api", [] { return HEARTH_NATIVE_API; },
      "Hash of the stub file this module was built with.");
  module.def(
      "torch_version", [] { return HEARTH_TORCH_VERSION; },
      "Version of the torch this module was built against.");
  hearth::RegisterErrors(module);
  hearth::BindSampling(module);
  hearth::BindWeights(module);
  hearth::BindZImage(module);
  hearth::BindEngine(module);
}
