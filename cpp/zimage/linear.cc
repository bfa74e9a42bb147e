#include "zimage/linear.h"

#include <ATen/ops/linear.h>

#include <optional>

namespace hearth {

Linear::Linear(const WeightScope& scope, std::int64_t rows, std::int64_t columns, bool bias)
    : weight_(scope.Get("weight", {rows, columns})) {
  if (bias) bias_ = scope.Get("bias", {weight_.size(0)});
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  std::optional<at::Tensor> bias;
  if (bias_.defined()) bias = bias_.to(x.scalar_type());
  return at::linear(x, weight_.to(x.scalar_type()), bias);
}

}  // namespace hearth
