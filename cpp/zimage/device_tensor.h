#ifndef HEARTH_ZIMAGE_DEVICE_TENSOR_H_
#define HEARTH_ZIMAGE_DEVICE_TENSOR_H_

#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "device/driver_abi.h"

namespace hearth {

// What a kernel is given for a tensor: its address, 0 for an undefined one.
inline CuAddress AddressOf(const at::Tensor& tensor) {
  return tensor.defined() ? reinterpret_cast<CuAddress>(tensor.const_data_ptr()) : 0;
}

// The stream that torch's operations on a tensor's device go to, in this thread.
inline CuStream StreamOf(const at::Tensor& tensor) {
  const c10::impl::VirtualGuardImpl guard(tensor.device().type());
  return static_cast<CuStream>(guard.getStream(tensor.device()).native_handle());
}

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_DEVICE_TENSOR_H_
