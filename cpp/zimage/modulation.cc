#include "zimage/modulation.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/stack.h>

#include <cmath>
#include <vector>

namespace hearth {
namespace {

constexpr double kTimeScale = 1000.0;
constexpr double kLongestPeriod = 10000.0;

// [cos | sin] of the time at `width`/2 frequencies from 1 down to almost 1/10000: Vaswani et al.,
// "Attention Is All You Need" (2017), arXiv:1706.03762, section 3.5.
at::Tensor Sinusoids(const at::Tensor& time, std::int64_t width) {
  const std::int64_t half = width / 2;
  const at::Tensor frequencies = at::arange(0, half, time.options())
                                     .mul(-std::log(kLongestPeriod))
                                     .div(static_cast<double>(half))
                                     .exp();
  const at::Tensor angles = at::outer(time, frequencies);
  return at::cat({angles.cos(), angles.sin()}, 1);
}

}  // namespace

GateRows::GateRows(const at::Tensor& raw) {
  const std::vector<at::Tensor> parts = raw.chunk(4, 1);
  scales_ = at::stack({parts[0], parts[2]}, 1).add(1);
  gates_ = at::stack({parts[1], parts[3]}, 1).tanh();
}

BlockGates GateRows::at(std::int64_t level) const {
  const at::Tensor scales = scales_.select(0, level);
  const at::Tensor gates = gates_.select(0, level);
  return {scales.select(0, 0), gates.select(0, 0), scales.select(0, 1), gates.select(0, 1)};
}

TimeEmbedder::TimeEmbedder(const WeightScope& scope)
    : first_(scope.Under("mlp.0."), kAnySize, kAnySize, true),
      second_(scope.Under("mlp.2."), kAnySize, first_.rows(), true) {}

at::Tensor TimeEmbedder::operator()(const at::Tensor& sigmas, at::ScalarType type) const {
  const at::Tensor time = sigmas.to(at::kFloat).neg().add(1.0).mul(kTimeScale);
  return second_(at::silu(first_(Sinusoids(time, first_.columns()).to(type))));
}

}  // namespace hearth
