#ifndef HEARTH_DEVICE_KERNEL_MODULE_H_
#define HEARTH_DEVICE_KERNEL_MODULE_H_

#include <memory>
#include <string>

#include "device/cuda_device.h"

namespace hearth {

// One text of kernels, compiled for one device and loaded there. It stays loaded when this object
// is gone: one of its kernels may be running, and a process needs them once. Immutable; any thread.
class KernelModule {
 public:
  struct Grid {
    unsigned x;
    unsigned y;
    unsigned threads;
  };

  // `name` is what messages call the text. Throws CudaError.
  KernelModule(std::shared_ptr<const CudaDevice> device, const std::string& text,
               const std::string& name);

  // Throws CudaError when there is no kernel of this name.
  CuFunction Find(const char* name) const;
  // Begins it and returns; `arguments` point to the values of each. Throws CudaError.
  void Launch(CuFunction function, const Grid& grid, CuStream stream, void** arguments) const;

 private:
  std::shared_ptr<const CudaDevice> device_;
  CuModule module_ = nullptr;
};

}  // namespace hearth

#endif  // HEARTH_DEVICE_KERNEL_MODULE_H_
