#ifndef HEARTH_DEVICE_CUBLAS_LT_H_
#define HEARTH_DEVICE_CUBLAS_LT_H_

#include <memory>

#include "device/cuda_device.h"
#include "device/product_library.h"

namespace hearth {

// cuBLASLt, which comes with torch, found when the process runs: neither building nor running needs
// a toolkit. Null where there is none, or where it does not start.
std::shared_ptr<const ProductLibrary> FindCublasLt(std::shared_ptr<const CudaDevice> device);

}  // namespace hearth

#endif  // HEARTH_DEVICE_CUBLAS_LT_H_
