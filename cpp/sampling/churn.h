#ifndef HEARTH_SAMPLING_CHURN_H_
#define HEARTH_SAMPLING_CHURN_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "sampling/sampler.h"

namespace hearth {

// Noise added before a step: Karras et al., "Elucidating the Design Space of Diffusion-Based
// Generative Models" (2022), arXiv:2206.00364, algorithm 2, lines 4 to 6. Where s_churn > 0 and
// sigma lies in [s_tmin, s_tmax], the latents are raised to
//   sigma^ = sigma (1 + gamma),  gamma = min(s_churn / steps, sqrt(2) - 1).
// The noise is torch's own, of its global generator. REQUIRES: a schedule of at least one step,
// which outlives this.
class Churn {
 public:
  enum class Draw {
    kWhereNeeded,
    kEveryStep,  // also where none is added: what later steps draw depends on it
  };
  explicit Churn(const SamplingRun& run, Draw draw = Draw::kWhereNeeded);

  // The latents before step `index`, as noisy as level(index) says.
  at::Tensor Raise(const at::Tensor& x, std::int64_t index) const;
  NoiseLevel level(std::int64_t index) const { return levels_.at(index); }
  // Of every step.
  const at::Tensor& levels() const { return levels_.tensor(); }

 private:
  bool draws_every_step_;
  double s_noise_;
  std::vector<double> gammas_;
  Sigmas levels_;
  at::Tensor added_;  // sqrt(sigma^2 - sigma^^2) of every step; undefined where all gammas are 0
};

}  // namespace hearth

#endif  // HEARTH_SAMPLING_CHURN_H_
