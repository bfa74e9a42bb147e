#ifndef HEARTH_DEVICE_ROW_QUANTISER_H_
#define HEARTH_DEVICE_ROW_QUANTISER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "device/kernel_module.h"

namespace hearth {

// The text that is compiled; what the kernel computes is said there.
const std::string& QuantiseKernelText();

// Makes 8-bit floats (e4m3) of rows of bfloat16 on one device. Immutable; any thread, but a stream
// belongs to one at a time.
class RowQuantiser {
 public:
  static constexpr int kMinComputeCapability = 89;
  static constexpr std::int64_t kMaxWidth = 32768;

  // REQUIRES: a width that is a multiple of 16, at most kMaxWidth; addresses at multiples of 16
  // bytes.
  struct Arguments {
    std::int64_t rows, width;
    CuAddress x;
    CuAddress out;     // rows x width bytes
    CuAddress scales;  // rows of float32: what out is to be multiplied with
  };

  // Compiles it for the device. Throws CudaError, also for a device without such numbers.
  explicit RowQuantiser(std::shared_ptr<const CudaDevice> device);

  // Begins it and returns. Throws CudaError.
  void Run(const Arguments& arguments, CuStream stream) const;

 private:
  KernelModule module_;
  CuFunction quantise_rows_;
};

}  // namespace hearth

#endif  // HEARTH_DEVICE_ROW_QUANTISER_H_
