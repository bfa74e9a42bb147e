#ifndef HEARTH_ZIMAGE_LINEAR_H_
#define HEARTH_ZIMAGE_LINEAR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "weights/weight_scope.h"

namespace hearth {

// What goes into a matrix: as it is, or in 8-bit floats with a scale for each row.
struct MatrixInput {
  at::Tensor values;
  at::Tensor scales;  // rows x 1, float32; undefined: the values are as they are
};

// y = x W^T + b. The weights stay as they are in the file and are widened or shortened to the type
// of `x` at each use: where both are the same, nothing is copied.
class Linear {
 public:
  // `rows` x `columns`; kAnySize takes what the file has. Without a bias unless `bias`.
  Linear(const WeightScope& scope, std::int64_t rows, std::int64_t columns, bool bias);

  // Brings the weights to 8-bit floats, for inputs of these. REQUIRES: no bias.
  void Quantise();

  at::Tensor operator()(const at::Tensor& x) const { return (*this)(MatrixInput{x, {}}); }
  // REQUIRES: scales after Quantise(), and only then.
  at::Tensor operator()(const MatrixInput& x) const;
  const at::Tensor& weight() const { return weight_; }
  bool has_bias() const { return bias_.defined(); }
  std::int64_t rows() const { return weight_.size(0); }
  std::int64_t columns() const { return weight_.size(1); }

 private:
  at::Tensor weight_;
  at::Tensor bias_;    // undefined: none
  at::Tensor scales_;  // 1 x rows, float32; undefined: not quantised
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_LINEAR_H_
