#include "zimage/schedule.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>

#include <string>
#include <vector>

#include "base/error.h"

namespace hearth {
namespace {

constexpr std::int64_t kLevels = 1000;
// Above this ComfyUI takes a run for a whole one.
constexpr double kWhole = 0.9999;

}  // namespace

at::Tensor FlowLevels(double shift) {
  const at::Tensor t = at::arange(1, kLevels + 1, at::kFloat).div(static_cast<double>(kLevels));
  if (shift == 1.0) return t;
  return t.mul(shift).div(t.mul(shift - 1.0).add(1.0));
}

at::Tensor SimpleSigmas(double shift, std::int64_t steps, double denoise) {
  const bool partly = denoise <= kWhole;
  if (steps <= 0 || denoise <= 0.0) {
    if (steps < 0) throw Error("A run cannot have " + std::to_string(steps) + " steps.");
    return at::empty({0}, at::kFloat);
  }
  const std::int64_t all =
      partly ? static_cast<std::int64_t>(static_cast<double>(steps) / denoise) : steps;
  const at::Tensor levels = FlowLevels(shift);
  const float* const level = levels.const_data_ptr<float>();
  const double stride = static_cast<double>(kLevels) / static_cast<double>(all);
  std::vector<float> sigmas;
  for (std::int64_t i = all - steps; i < all; ++i) {
    sigmas.push_back(
        level[kLevels - 1 - static_cast<std::int64_t>(static_cast<double>(i) * stride)]);
  }
  sigmas.push_back(0.0F);
  return at::tensor(sigmas, at::kFloat);
}

at::Tensor SeededNoise(at::IntArrayRef shape, std::uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kFloat);
}

}  // namespace hearth
