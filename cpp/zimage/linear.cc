#include "zimage/linear.h"

#include <ATen/ops/_scaled_mm.h>
#include <ATen/ops/linear.h>

#include <optional>
#include <vector>

namespace hearth {
namespace {

constexpr double kLargest = 448.0;  // of e4m3
constexpr double kSmallest = 1e-12;

}  // namespace

Linear::Linear(const WeightScope& scope, std::int64_t rows, std::int64_t columns, bool bias)
    : weight_(scope.Get("weight", {rows, columns})) {
  if (bias) bias_ = scope.Get("bias", {weight_.size(0)});
}

void Linear::Quantise() {
  const at::Tensor wide = weight_.to(at::kFloat);
  const at::Tensor scales = wide.abs().amax(1, true).clamp_min(kSmallest).div(kLargest);
  weight_ = wide.div(scales).to(at::kFloat8_e4m3fn);
  scales_ = scales.t().contiguous();
}

at::Tensor Linear::operator()(const MatrixInput& x) const {
  if (x.scales.defined()) {
    const at::Tensor flat = x.values.flatten(0, -2);
    const at::Tensor y = at::_scaled_mm(flat, weight_.t(), x.scales, scales_, {}, {}, at::kBFloat16,
                                        /*use_fast_accum=*/true);
    std::vector<std::int64_t> shape = x.values.sizes().vec();
    shape.back() = rows();
    return y.view(shape);
  }
  std::optional<at::Tensor> bias;
  if (bias_.defined()) bias = bias_.to(x.values.scalar_type());
  return at::linear(x.values, weight_.to(x.values.scalar_type()), bias);
}

}  // namespace hearth
