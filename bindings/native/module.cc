// hearth._core: the Python face of libhearth_core. Loads before torch and beside any torch.
#include <pybind11/pybind11.h>

#include "native/bind.h"

PYBIND11_MODULE(_core, module) {
  module.doc() = "Native core of hearth: cache, config, executor and checkpoint checks.";
  module.def(
      "native_api", [] { return HEARTH_NATIVE_API; },
      "Hash of the stub file this module was built with.");
  module.attr("__version__") = HEARTH_VERSION;
  hearth::RegisterErrors(module);
  hearth::BindModelKey(module);
  hearth::BindExecutor(module);
  hearth::BindCache(module);
  hearth::BindCheckpoint(module);
  hearth::BindByteView(module);
  hearth::BindHostFiles(module);
  hearth::BindKeeper(module);
  hearth::BindDevices(module);
  hearth::BindRuntime(module);
}
