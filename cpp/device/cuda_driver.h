#ifndef HEARTH_DEVICE_CUDA_DRIVER_H_
#define HEARTH_DEVICE_CUDA_DRIVER_H_

#include <memory>
#include <string>

#include "device/driver_abi.h"

namespace hearth {

// The CUDA driver of this process. Thread-safe.
class CudaDriver {
 public:
  explicit CudaDriver(const DriverApi& api) : api_(api) {}

  const DriverApi& api() const { return api_; }
  // Throws DeviceOutOfMemory or CudaError when `result` is a failure. `call` is the function's name
  // in the driver, `place` what was being done: "mapping 12.3 GB on device 0".
  void Check(CuResult result, const char* call, const std::string& place) const;
  // "cuMemHostRegister: CUDA_ERROR_INVALID_VALUE (1)"
  std::string Describe(CuResult result, const char* call) const;

 private:
  const DriverApi api_;
};

// A driver, or why there is none.
struct DriverAnswer {
  std::shared_ptr<const CudaDriver> driver;
  std::string reason;  // for people; empty when there is a driver
};

// Loads and initialises the installed driver; takes some 100 ms and makes no context. Call it once.
DriverAnswer LoadCudaDriver();

}  // namespace hearth

#endif  // HEARTH_DEVICE_CUDA_DRIVER_H_
