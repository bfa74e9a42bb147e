#ifndef HEARTH_DEVICE_CUDA_HOST_H_
#define HEARTH_DEVICE_CUDA_HOST_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "device/cuda_device.h"
#include "device/cuda_registrar.h"
#include "device/product_library.h"
#include "device/row_quantiser.h"
#include "device/transformer_kernels.h"
#include "device/vae_kernels.h"
#include "hosttier/host_registrar.h"

namespace hearth {

struct DeviceInfo {
  int index = 0;
  std::string name;
  std::uint64_t total_bytes = 0;
  std::optional<std::uint64_t> free_bytes;  // known once the device was opened
};

// What the engine computes with on one device, beside torch.
struct EngineKernels {
  explicit EngineKernels(const std::shared_ptr<const CudaDevice>& device);
  TransformerKernels transformer;
  VaeKernels vae;
  std::unique_ptr<const RowQuantiser> quantiser;   // null: the device has no 8-bit floats
  std::shared_ptr<const ProductLibrary> products;  // null: cuBLASLt is not here
};

struct DeviceReport {
  int driver_version = 0;  // 13000 is 13.0; 0: no driver
  std::string reason;      // why there is no device; empty: there is one
  std::vector<DeviceInfo> devices;
};

// The GPUs of this machine as far as this process may see them. The driver is loaded at the first
// question, a context made at the first use of its device. Registers host memory through whichever
// device is there. Thread-safe.
class CudaHost final : public HostRegistrar {
 public:
  using Loader = DriverAnswer (*)();
  explicit CudaHost(Loader load = &LoadCudaDriver) : load_(load) {}

  DeviceReport Probe() HEARTH_EXCLUDES(mutex_);
  // Throws CudaError when there is no such device.
  std::shared_ptr<const CudaDevice> Open(int index) HEARTH_EXCLUDES(mutex_);

  // The engine's kernels for that device, compiled at the first call. Throws CudaError.
  std::shared_ptr<const EngineKernels> Kernels(int index) HEARTH_EXCLUDES(kernels_mutex_);

  // The process is ending: nothing that is destroyed from now on calls the driver.
  void Abandon() HEARTH_EXCLUDES(mutex_);

  RegisterOutcome Register(const void* address, std::size_t size) noexcept override;
  bool Unregister(const void* address) noexcept override;
  bool CopiesSpanRanges() noexcept override;

 private:
  DriverAnswer Driver() HEARTH_EXCLUDES(mutex_);
  // nullptr: not opened yet.
  std::shared_ptr<const CudaDevice> Opened(int index) HEARTH_EXCLUDES(mutex_);
  std::shared_ptr<CudaRegistrar> Registrar() HEARTH_EXCLUDES(mutex_);

  const Loader load_;
  Mutex mutex_;
  CondVar loaded_;
  bool is_loading_ HEARTH_GUARDED_BY(mutex_) = false;
  std::optional<DriverAnswer> answer_ HEARTH_GUARDED_BY(mutex_);
  std::map<int, std::shared_ptr<const CudaDevice>> devices_ HEARTH_GUARDED_BY(mutex_);
  std::shared_ptr<CudaRegistrar> registrar_ HEARTH_GUARDED_BY(mutex_);
  Mutex kernels_mutex_;  // held while they are compiled: who wants them waits
  std::map<int, std::shared_ptr<const EngineKernels>> kernels_ HEARTH_GUARDED_BY(kernels_mutex_);
};

}  // namespace hearth

#endif  // HEARTH_DEVICE_CUDA_HOST_H_
