// Euler: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022),
// arXiv:2206.00364, algorithm 2 with the first-order step only:
//   x' = x + (sigma' - sigma^) (x - D(x, sigma^)) / sigma^
// where sigma^ is the step's level after churn.
#include "sampling/churn.h"
#include "sampling/sampler.h"
#include "sampling/step.h"

namespace hearth {

at::Tensor SampleEuler(at::Tensor x, const SamplingRun& run) {
  const Churn churn(run);
  const at::Tensor dt = Tail(run.sigmas.tensor()).sub(churn.levels());
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    x = churn.Raise(x, i);
    const NoiseLevel sigma_hat = churn.level(i);
    const at::Tensor denoised = run.denoise(x, sigma_hat);
    const at::Tensor slope = Derivative(x, sigma_hat.tensor, denoised);
    run.observe({i, x, run.sigmas.at(i), sigma_hat, denoised});
    x = x.add(slope.mul(dt.select(0, i)));
  }
  return x;
}

}  // namespace hearth
