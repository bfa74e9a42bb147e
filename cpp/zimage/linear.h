#ifndef HEARTH_ZIMAGE_LINEAR_H_
#define HEARTH_ZIMAGE_LINEAR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "weights/weight_scope.h"

namespace hearth {

// y = x W^T + b. The weights stay as they are in the file and are widened or shortened to the type
// of `x` at each use: where both are the same, nothing is copied.
class Linear {
 public:
  // `rows` x `columns`; kAnySize takes what the file has. Without a bias unless `bias`.
  Linear(const WeightScope& scope, std::int64_t rows, std::int64_t columns, bool bias);

  at::Tensor operator()(const at::Tensor& x) const;
  std::int64_t rows() const { return weight_.size(0); }
  std::int64_t columns() const { return weight_.size(1); }

 private:
  at::Tensor weight_;
  at::Tensor bias_;  // undefined: none
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_LINEAR_H_
