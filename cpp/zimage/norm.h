#ifndef HEARTH_ZIMAGE_NORM_H_
#define HEARTH_ZIMAGE_NORM_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "weights/weight_scope.h"

namespace hearth {

// x / sqrt(mean(x^2) + eps) * weight over the last dimension: Zhang and Sennrich, "Root Mean Square
// Layer Normalization" (2019), arXiv:1910.07467.
class RmsNorm {
 public:
  RmsNorm(const WeightScope& scope, std::int64_t width, double eps);

  at::Tensor operator()(const at::Tensor& x) const;
  std::int64_t width() const { return weight_.size(0); }
  const at::Tensor& weight() const { return weight_; }
  double eps() const { return eps_; }

 private:
  at::Tensor weight_;
  double eps_;
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_NORM_H_
