#ifndef HEARTH_SAMPLING_SAMPLER_H_
#define HEARTH_SAMPLING_SAMPLER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "sampling/sigmas.h"

namespace hearth {

// The model's estimate of the clean latents, from latents as noisy as `sigma` says. May throw
// anything; the sampler lets it through and does no further step.
using Denoiser = std::function<at::Tensor(const at::Tensor& x, const NoiseLevel& sigma)>;

// Noise of unit variance in the latents' shape for the way between two levels. Brownian noise
// depends on both; other noise on neither.
using NoiseSource = std::function<at::Tensor(const NoiseLevel& from, const NoiseLevel& to)>;

// Clean latents made as noisy as `sigma` says.
using Renoiser = std::function<at::Tensor(const NoiseLevel& sigma, const at::Tensor& noise,
                                          const at::Tensor& clean)>;

// One step, after the denoiser has answered and before the latents change; uni_pc, which answers
// within a step, reports at its end. `x` is what ComfyUI's function of this name reports.
struct StepReport {
  std::int64_t index;
  const at::Tensor& x;
  const NoiseLevel& sigma;      // of the schedule
  const NoiseLevel& sigma_hat;  // what the denoiser was given: higher where noise was added
  const at::Tensor& denoised;
};
using StepObserver = std::function<void(const StepReport&)>;

// How a model mixes image and noise.
enum class NoisePath {
  kEps,   // x = image + sigma noise
  kFlow,  // x = (1 - sigma) image + sigma noise
};

// ComfyUI's names and defaults; a sampler reads those that it has.
struct SamplerOptions {
  NoisePath path = NoisePath::kEps;
  // What the samplers over the log-SNR of a flow model take for a first level of 1, where it has
  // none: ComfyUI's is the model's level at 0.01 % of the way.
  double first_flow_level = 0.9999;
  double s_churn = 0.0;
  double s_tmin = 0.0;
  double s_tmax = std::numeric_limits<double>::infinity();
  double s_noise = 1.0;
  std::optional<double> s_noise_end;  // of lcm: what s_noise becomes until the last step
  double noise_clip_std = 0.0;        // of lcm: noise beyond so many deviations is cut; 0: none is
  double eta = 1.0;                   // share of the noise of a step that is drawn anew
  double r = 0.5;                     // of dpmpp_sde: where between two levels it looks
  std::string solver_type = "midpoint";  // of dpmpp_2m_sde: or "heun"
  std::int64_t max_order = 4;            // of ipndm and deis: 1 to 4
  std::string deis_mode = "tab";
};

// Whom a sampler asks.
struct SamplerCalls {
  Denoiser denoise;
  StepObserver observe;
  NoiseSource noise = nullptr;  // needed by the samplers that draw noise at each step
  Renoiser renoise = nullptr;   // of lcm; by the path when there is none
};

// What one run of a sampler works with.
struct SamplingRun {
  const Sigmas& sigmas;
  const SamplerOptions& options;
  const Denoiser& denoise;
  const StepObserver& observe;
  const NoiseSource& noise;
  const Renoiser& renoise;
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
  // Throws Error with the nearest names when there is no sampler of this name, and for an option
  // that has no such value.
  explicit Sampler(const std::string& name, SamplerOptions options = {});

  // The latents after the last step; `x` itself, which is never written to, for a schedule of no
  // step. `x` has any shape whose first dimension is the batch. Without gradients. Throws Error
  // for a sampler that draws noise when there is none to draw from.
  at::Tensor Sample(const at::Tensor& x, const at::Tensor& sigmas, const SamplerCalls& calls) const;

  static std::vector<std::string> Names();

 private:
  std::string name_;
  SamplerFunction function_;
  bool draws_noise_;
  SamplerOptions options_;
};

// The samplers themselves; each names the source of its formula where it is defined.
at::Tensor SampleEuler(at::Tensor x, const SamplingRun& run);
at::Tensor SampleHeun(at::Tensor x, const SamplingRun& run);
at::Tensor SampleHeunpp2(at::Tensor x, const SamplingRun& run);
at::Tensor SampleDpm2(at::Tensor x, const SamplingRun& run);
at::Tensor SampleEulerAncestral(at::Tensor x, const SamplingRun& run);
at::Tensor SampleDpmpp2sAncestral(at::Tensor x, const SamplingRun& run);
at::Tensor SampleLcm(at::Tensor x, const SamplingRun& run);
at::Tensor SampleDpmppSde(at::Tensor x, const SamplingRun& run);
at::Tensor SampleDpmpp2mSde(at::Tensor x, const SamplingRun& run);
at::Tensor SampleDpmpp3mSde(at::Tensor x, const SamplingRun& run);
at::Tensor SampleResMultistep(at::Tensor x, const SamplingRun& run);
at::Tensor SampleDpmpp2m(at::Tensor x, const SamplingRun& run);
at::Tensor SampleIpndm(at::Tensor x, const SamplingRun& run);
at::Tensor SampleDeis(at::Tensor x, const SamplingRun& run);
at::Tensor SampleUniPc(at::Tensor x, const SamplingRun& run);
at::Tensor SampleUniPcBh2(at::Tensor x, const SamplingRun& run);

}  // namespace hearth

#endif  // HEARTH_SAMPLING_SAMPLER_H_
