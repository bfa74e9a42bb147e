#include "device/cuda_driver.h"

#include <utility>

#include "base/error.h"
#include "device/symbols.h"

namespace hearth {
namespace {

constexpr const char* kLibrary = "libcuda.so.1";

void BindContexts(Symbols& symbols, DriverApi& api) {
  symbols.Bind("cuInit", api.init);
  symbols.Bind("cuDriverGetVersion", api.driver_get_version);
  symbols.Bind("cuGetErrorName", api.get_error_name);
  symbols.Bind("cuDeviceGetCount", api.device_get_count);
  symbols.Bind("cuDeviceGet", api.device_get);
  symbols.Bind("cuDeviceGetName", api.device_get_name);
  symbols.Bind("cuDeviceGetAttribute", api.device_get_attribute);
  symbols.Bind("cuDeviceTotalMem_v2", api.device_total_memory);
  symbols.Bind("cuDevicePrimaryCtxRetain", api.primary_context_retain);
  symbols.Bind("cuCtxPushCurrent_v2", api.context_push);
  symbols.Bind("cuCtxPopCurrent_v2", api.context_pop);
  symbols.Bind("cuCtxGetDevice", api.context_get_device);
}

void BindCopies(Symbols& symbols, DriverApi& api) {
  symbols.Bind("cuMemHostRegister_v2", api.host_register);
  symbols.Bind("cuMemHostUnregister", api.host_unregister);
  symbols.Bind("cuMemHostGetFlags", api.host_get_flags);
  symbols.Bind("cuStreamCreate", api.stream_create);
  symbols.Bind("cuStreamDestroy_v2", api.stream_destroy);
  symbols.Bind("cuStreamSynchronize", api.stream_synchronize);
  symbols.Bind("cuMemcpyHtoDAsync_v2", api.copy_to_device);
  symbols.Bind("cuMemcpyDtoHAsync_v2", api.copy_to_host);
}

void BindMemory(Symbols& symbols, DriverApi& api) {
  symbols.Bind("cuMemGetInfo_v2", api.memory_get_info);
  symbols.Bind("cuMemGetAllocationGranularity", api.granularity);
  symbols.Bind("cuMemAddressReserve", api.address_reserve);
  symbols.Bind("cuMemAddressFree", api.address_free);
  symbols.Bind("cuMemCreate", api.allocation_create);
  symbols.Bind("cuMemRelease", api.allocation_release);
  symbols.Bind("cuMemMap", api.map);
  symbols.Bind("cuMemUnmap", api.unmap);
  symbols.Bind("cuMemSetAccess", api.set_access);
}

void BindKernels(Symbols& symbols, DriverApi& api) {
  symbols.Bind("cuModuleLoadData", api.module_load);
  symbols.Bind("cuModuleGetFunction", api.module_get_function);
  symbols.Bind("cuLaunchKernel", api.launch_kernel);
}

}  // namespace

std::string CudaDriver::Describe(CuResult result, const char* call) const {
  const char* name = nullptr;
  if (api_.get_error_name(result, &name) != kCuSuccess || name == nullptr) name = "unknown error";
  return std::string(call) + ": " + name + " (" + std::to_string(result) + ")";
}

void CudaDriver::Check(CuResult result, const char* call, const std::string& place) const {
  if (result == kCuSuccess) return;
  const std::string message = place + " failed: " + Describe(result, call);
  if (result == kCuOutOfMemory) {
    throw DeviceOutOfMemory(message + "; free VRAM, or use a smaller model.");
  }
  throw CudaError(message + ".");
}

DriverAnswer LoadCudaDriver() {
  void* const library = OpenLibrary(kLibrary);
  if (library == nullptr) {
    return {nullptr, std::string("no NVIDIA driver: ") + kLibrary + " not found"};
  }
  DriverApi api{};
  Symbols symbols(library);
  BindContexts(symbols, api);
  BindCopies(symbols, api);
  BindMemory(symbols, api);
  BindKernels(symbols, api);
  if (!symbols.has_all()) {
    return {nullptr, "the NVIDIA driver is too old: it has no " + symbols.missing()};
  }
  auto driver = std::make_shared<const CudaDriver>(api);
  const CuResult result = api.init(0);
  if (result != kCuSuccess) {
    return {nullptr, "the NVIDIA driver does not start: " + driver->Describe(result, "cuInit")};
  }
  return {std::move(driver), ""};
}

}  // namespace hearth
