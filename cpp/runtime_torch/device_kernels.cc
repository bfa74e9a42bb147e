#include "runtime_torch/device_kernels.h"

#include "base/error.h"
#include "base/log.h"

namespace hearth {

std::shared_ptr<const EngineKernels> KernelsFor(Runtime& runtime, at::Device device) {
  if (!device.is_cuda()) return nullptr;
  try {
    return runtime.devices()->Kernels(device.has_index() ? device.index() : 0);
  } catch (const CudaError& error) {
    LogWarning("engine_without_kernels", {{"reason", error.what()}});
    return nullptr;
  }
}

}  // namespace hearth
