#include "sampling/step.h"

#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <vector>

namespace hearth {

at::Tensor Derivative(const at::Tensor& x, const at::Tensor& sigma, const at::Tensor& denoised) {
  // Dimensions of one, not none: a schedule of float32 then widens latents of a shorter dtype here,
  // as it does in ComfyUI.
  const std::vector<std::int64_t> ones(static_cast<std::size_t>(x.dim()), 1);
  return x.sub(denoised).div(sigma.view(ones));
}

at::Tensor Answer(const at::Tensor& x, std::int64_t index, const Sigmas& sigmas,
                  const SamplingRun& run) {
  const NoiseLevel sigma = sigmas.at(index);
  at::Tensor denoised = run.denoise(x, sigma);
  run.observe({index, x, sigma, sigma, denoised});
  return denoised;
}

AncestralSplit SplitForNoise(const at::Tensor& from, const at::Tensor& to, double eta) {
  if (eta == 0) return {to, at::zeros_like(to)};
  const at::Tensor from2 = from.pow(2);
  const at::Tensor to2 = to.pow(2);
  const at::Tensor drawn = to2.mul(from2.sub(to2)).div(from2).pow(0.5).mul(eta);
  // Not the minimum: it would be no number where a schedule rises.
  at::Tensor up = at::where(drawn.lt(to), drawn, to);
  return {to2.sub(up.pow(2)).pow(0.5), up};
}

}  // namespace hearth
