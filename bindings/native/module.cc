// hearth._core: the Python face of libhearth_core. Loads before torch and beside any torch.
#include <pybind11/pybind11.h>

#include "native/bind.h"

// Raised when a function of this module changes its meaning; bindings/hearth/_native.py compares it,
// so that a module left over from another version of hearth is named instead of crashing.
constexpr int kNativeApi = 1;

PYBIND11_MODULE(_core, module) {
  module.doc() = "Native core of hearth: cache, config, executor and checkpoint checks.";
  module.attr("NATIVE_API") = kNativeApi;
  module.attr("__version__") = HEARTH_VERSION;
  hearth::RegisterErrors(module);
  hearth::BindModelKey(module);
  hearth::BindExecutor(module);
  hearth::BindCache(module);
  hearth::BindCheckpoint(module);
  hearth::BindRuntime(module);
}
