// Euler: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022),
// arXiv:2206.00364, algorithm 2 with the first-order step only:
//   x' = x + (sigma' - sigma^) (x - D(x, sigma^)) / sigma^
// Before a step whose sigma lies in [s_tmin, s_tmax] and with s_churn > 0, noise is added up to
// sigma^ = sigma (1 + gamma), gamma = min(s_churn / steps, sqrt(2) - 1).
#include <ATen/ops/randn_like.h>

#include <algorithm>
#include <numbers>
#include <utility>

#include "sampling/sampler.h"

namespace hearth {
namespace {

// How much the noise of a step is raised, relative to its sigma.
double Gamma(double sigma, const SamplingRun& run) {
  const SamplerOptions& options = run.options;
  if (!(options.s_churn > 0)) return 0;
  if (sigma < options.s_tmin || sigma > options.s_tmax) return 0;
  const double share = options.s_churn / static_cast<double>(run.sigmas.steps());
  return std::min(share, std::numbers::sqrt2 - 1);
}

NoiseLevel Raised(const NoiseLevel& sigma, double gamma) {
  return {sigma.value * (gamma + 1), sigma.tensor.mul(gamma + 1)};
}

at::Tensor WithNoise(const at::Tensor& x, const NoiseLevel& from, const NoiseLevel& to,
                     double s_noise) {
  const at::Tensor added = to.tensor.pow(2).sub(from.tensor.pow(2)).pow(0.5);
  return x.add(at::randn_like(x).mul(s_noise).mul(added));
}

}  // namespace

at::Tensor SampleEuler(at::Tensor x, const SamplingRun& run) {
  const at::Tensor& levels = run.sigmas.tensor();
  const at::Tensor plain_dt = Tail(levels).sub(Init(levels));
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    const NoiseLevel sigma = run.sigmas.at(i);
    const double gamma = Gamma(sigma.value, run);
    const NoiseLevel sigma_hat = gamma > 0 ? Raised(sigma, gamma) : sigma;
    if (gamma > 0) x = WithNoise(x, sigma, sigma_hat, run.options.s_noise);
    const at::Tensor denoised = run.denoise(x, sigma_hat);
    const at::Tensor slope = Derivative(x, sigma_hat.tensor, denoised);
    run.observe({i, x, sigma, sigma_hat, denoised});
    const at::Tensor dt =
        gamma > 0 ? levels.select(0, i + 1).sub(sigma_hat.tensor) : plain_dt.select(0, i);
    x = x.add(slope.mul(dt));
  }
  return x;
}

}  // namespace hearth
