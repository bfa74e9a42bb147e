#include "zimage/norm.h"

#include <ATen/ops/rms_norm.h>

namespace hearth {

RmsNorm::RmsNorm(const WeightScope& scope, std::int64_t width, double eps)
    : weight_(scope.Get("weight", {width})), eps_(eps) {}

at::Tensor RmsNorm::operator()(const at::Tensor& x) const {
  return at::rms_norm(x, weight_.sizes(), weight_.to(x.scalar_type()), eps_);
}

}  // namespace hearth
