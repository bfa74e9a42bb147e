#ifndef HEARTH_DEVICE_CUDA_REGISTRAR_H_
#define HEARTH_DEVICE_CUDA_REGISTRAR_H_

#include <memory>
#include <optional>

#include "base/mutex.h"
#include "device/cuda_device.h"
#include "hosttier/host_registrar.h"

namespace hearth {

// Registers host memory for every device of the process, read-only.
class CudaRegistrar final : public HostRegistrar {
 public:
  explicit CudaRegistrar(std::shared_ptr<const CudaDevice> device);

  RegisterOutcome Register(const void* address, std::size_t size) noexcept override;
  bool Unregister(const void* address) noexcept override;
  // Tried out once, on two pages: the documentation does not say.
  bool CopiesSpanRanges() noexcept override HEARTH_EXCLUDES(mutex_);

 private:
  bool TryCopyOverTwoRanges() const;

  std::shared_ptr<const CudaDevice> device_;
  Mutex mutex_;
  std::optional<bool> copies_span_ HEARTH_GUARDED_BY(mutex_);
};

}  // namespace hearth

#endif  // HEARTH_DEVICE_CUDA_REGISTRAR_H_
