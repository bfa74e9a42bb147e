#ifndef HEARTH_WEIGHTS_SCALAR_TYPE_H_
#define HEARTH_WEIGHTS_SCALAR_TYPE_H_

#include <c10/core/ScalarType.h>

#include <optional>

#include "checkpoint/dtype.h"

namespace hearth {

// ATen's name for a type of the safetensors format; nullopt where it has none (the 6-bit floats).
std::optional<at::ScalarType> ScalarTypeOf(Dtype dtype);

}  // namespace hearth

#endif  // HEARTH_WEIGHTS_SCALAR_TYPE_H_
