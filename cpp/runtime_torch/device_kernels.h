#ifndef HEARTH_RUNTIME_TORCH_DEVICE_KERNELS_H_
#define HEARTH_RUNTIME_TORCH_DEVICE_KERNELS_H_

#include <c10/core/Device.h>

#include <memory>

#include "device/cuda_host.h"
#include "runtime/runtime.h"

namespace hearth {

// The engine's kernels for a device; null where there are none, with a line in the log: the engine
// runs without them, slower.
std::shared_ptr<const EngineKernels> KernelsFor(Runtime& runtime, at::Device device);

}  // namespace hearth

#endif  // HEARTH_RUNTIME_TORCH_DEVICE_KERNELS_H_
