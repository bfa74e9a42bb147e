#ifndef HEARTH_SAMPLING_SAMPLER_H_
#define HEARTH_SAMPLING_SAMPLER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "sampling/sigmas.h"

namespace hearth {

// The model's estimate of the clean latents, from latents as noisy as `sigma` says. May throw
// anything; the sampler lets it through and does no further step.
using Denoiser = std::function<at::Tensor(const at::Tensor& x, const NoiseLevel& sigma)>;

// One step, after the denoiser has answered and before the latents change.
struct StepReport {
  std::int64_t index;
  const at::Tensor& x;
  const NoiseLevel& sigma;      // of the schedule
  const NoiseLevel& sigma_hat;  // what the denoiser was given: higher where noise was added
  const at::Tensor& denoised;
};
using StepObserver = std::function<void(const StepReport&)>;

// ComfyUI's names and defaults; a sampler reads those that it has.
struct SamplerOptions {
  double s_churn = 0.0;
  double s_tmin = 0.0;
  double s_tmax = std::numeric_limits<double>::infinity();
  double s_noise = 1.0;
};

// What one run of a sampler works with.
struct SamplingRun {
  const Sigmas& sigmas;
  const SamplerOptions& options;
  const Denoiser& denoise;
  const StepObserver& observe;
};
using SamplerFunction = at::Tensor (*)(at::Tensor x, const SamplingRun& run);

// A sampler by ComfyUI's name. Immutable; any thread, several at once.
//
// The numbers are those of ComfyUI's functions: the same operations in the same order and dtype, on
// the schedule's device. What depends on the schedule alone is computed before the first step, for
// all steps at once; what is decided by it is decided on the host's copy. So no step waits for the
// device.
class Sampler {
 public:
  // Throws Error with the nearest names when there is no sampler of this name.
  explicit Sampler(const std::string& name, SamplerOptions options = {});

  // The latents after the last step; `x` itself, which is never written to, for a schedule of no
  // step. `x` has any shape whose first dimension is the batch. Without gradients.
  at::Tensor Sample(const at::Tensor& x, const at::Tensor& sigmas, const Denoiser& denoise,
                    const StepObserver& observe) const;

  static std::vector<std::string> Names();

 private:
  SamplerFunction function_;
  SamplerOptions options_;
};

// The samplers themselves; each names the source of its formula where it is defined.
at::Tensor SampleEuler(at::Tensor x, const SamplingRun& run);
at::Tensor SampleResMultistep(at::Tensor x, const SamplingRun& run);
at::Tensor SampleDpmpp2m(at::Tensor x, const SamplingRun& run);

// The derivative dx/dsigma of the probability flow at `sigma`: (x - denoised) / sigma.
at::Tensor Derivative(const at::Tensor& x, const at::Tensor& sigma, const at::Tensor& denoised);

}  // namespace hearth

#endif  // HEARTH_SAMPLING_SAMPLER_H_
