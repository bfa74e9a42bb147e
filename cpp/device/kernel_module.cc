#include "device/kernel_module.h"

#include <utility>

#include "device/kernel_compiler.h"

namespace hearth {
namespace {

std::string ArchitectureOf(const CudaDevice& device) {
  return "sm_" + std::to_string(device.ComputeCapability());
}

}  // namespace

KernelModule::KernelModule(std::shared_ptr<const CudaDevice> device, const std::string& text,
                           const std::string& name)
    : device_(std::move(device)) {
  const std::string image = CompileKernels(text, name, ArchitectureOf(*device_));
  const CurrentDevice current(*device_);
  device_->driver().Check(device_->api().module_load(&module_, image.data()), "cuModuleLoadData",
                          device_->Where("loading " + name));
}

CuFunction KernelModule::Find(const char* name) const {
  const CurrentDevice current(*device_);
  CuFunction function = nullptr;
  device_->driver().Check(device_->api().module_get_function(&function, module_, name),
                          "cuModuleGetFunction", device_->Where("looking for a kernel"));
  return function;
}

void KernelModule::Launch(CuFunction function, const Grid& grid, CuStream stream,
                          void** arguments) const {
  const CurrentDevice current(*device_);
  device_->driver().Check(device_->api().launch_kernel(function, grid.x, grid.y, 1, grid.threads, 1,
                                                       1, 0, stream, arguments, nullptr),
                          "cuLaunchKernel", device_->Where("starting a kernel"));
}

}  // namespace hearth
