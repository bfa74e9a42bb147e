// The second-order multistep samplers. Both integrate in t = -ln(sigma) and take the denoiser's
// answer as exponentially damped in it, so that only its change from step to step is approximated.
#include <cstdint>
#include <utility>

#include "sampling/sampler.h"
#include "sampling/step.h"

namespace hearth {
namespace {

// phi_1(z) = (e^z - 1) / z.
at::Tensor Phi1(const at::Tensor& z) { return z.expm1().div(z); }

// Where a step is no step (two equal sigmas) the weights are 0/0, and nothing must be added.
at::Tensor NumberOrZero(const at::Tensor& weights) { return weights.nan_to_num(0.0); }

// What a step of res_multistep multiplies with; index i is the step from sigma i to sigma i+1.
struct ResWeights {
  at::Tensor h;         // step length in t
  at::Tensor decay;     // of the latents: e^-h
  at::Tensor current;   // of the newest answer: b1
  at::Tensor previous;  // of the answer before it: b2
  at::Tensor dt;        // step length in sigma, for the Euler steps
};

ResWeights MakeResWeights(const at::Tensor& sigmas) {
  const at::Tensor t = sigmas.log().neg();
  ResWeights weights;
  weights.h = Tail(t).sub(Init(t));
  const at::Tensor minus_h = weights.h.neg();
  weights.decay = minus_h.exp();
  const at::Tensor phi1 = Phi1(minus_h);
  const at::Tensor phi2 = phi1.sub(1.0).div(minus_h);
  // c2: where the previous answer lies, in steps from here; the first step has none and is Euler's.
  const at::Tensor back = weights.h.neg().roll(1);
  const at::Tensor c2 = back.div(weights.h);
  const at::Tensor share = phi2.div(c2);
  weights.current = NumberOrZero(phi1.sub(share));
  weights.previous = NumberOrZero(share);
  weights.dt = Tail(sigmas).sub(Init(sigmas));
  return weights;
}

// What a step of dpmpp_2m multiplies with; index as above.
struct DpmppWeights {
  at::Tensor ratio;     // of the latents: sigma' / sigma
  at::Tensor gain;      // of the answer: e^-h - 1, negative
  at::Tensor current;   // of the newest answer within it: 1 + 1/2r
  at::Tensor previous;  // of the one before: 1/2r
};

DpmppWeights MakeDpmppWeights(const at::Tensor& sigmas) {
  const at::Tensor t = sigmas.log().neg();
  const at::Tensor h = Tail(t).sub(Init(t));
  // Through t and back, not from the sigmas: ComfyUI's rounding.
  const at::Tensor levels = t.neg().exp();
  const at::Tensor r = h.roll(1).div(h);
  DpmppWeights weights;
  weights.ratio = Tail(levels).div(Init(levels));
  weights.gain = h.neg().expm1();
  weights.previous = r.mul(2.0).reciprocal();
  weights.current = weights.previous.add(1.0);
  return weights;
}

}  // namespace

// Exponential integrator of order 2 (deterministic RES): Zhang et al., "Improved Order Analysis and
// Design of Exponential Integrator for Diffusion Models Sampling", arXiv:2308.02157:
//   x' = e^-h x + h (b1 D + b2 D_previous),  h = ln(sigma / sigma'),
//   b2 = phi_2(-h) / c2,  b1 = phi_1(-h) - b2,  c2 = ln(sigma / sigma_previous) / h,
//   phi_1(z) = (e^z - 1) / z,  phi_2(z) = (phi_1(z) - 1) / z.
// The first step and a step to sigma 0 are Euler's.
at::Tensor SampleResMultistep(at::Tensor x, const SamplingRun& run) {
  const ResWeights weights = MakeResWeights(run.sigmas.tensor());
  at::Tensor previous;
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    const NoiseLevel sigma = run.sigmas.at(i);
    at::Tensor denoised = run.denoise(x, sigma);
    run.observe({i, x, sigma, sigma, denoised});
    if (i == 0 || run.sigmas.value(i + 1) == 0) {
      x = x.add(Derivative(x, sigma.tensor, denoised).mul(weights.dt.select(0, i)));
    } else {
      const at::Tensor answer = weights.current.select(0, i).mul(denoised).add(
          weights.previous.select(0, i).mul(previous));
      x = weights.decay.select(0, i).mul(x).add(weights.h.select(0, i).mul(answer));
    }
    previous = std::move(denoised);
  }
  return x;
}

// DPM-Solver++(2M): Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion
// Probabilistic Models", arXiv:2211.01095, algorithm 2, for latents of unit scale (alpha = 1):
//   x' = (sigma' / sigma) x - (e^-h - 1) ((1 + 1/2r) D - 1/2r D_previous),  r = h_previous / h.
// The first step and a step to sigma 0 take D alone.
at::Tensor SampleDpmpp2m(at::Tensor x, const SamplingRun& run) {
  const DpmppWeights weights = MakeDpmppWeights(run.sigmas.tensor());
  at::Tensor previous;
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    const NoiseLevel sigma = run.sigmas.at(i);
    at::Tensor denoised = run.denoise(x, sigma);
    run.observe({i, x, sigma, sigma, denoised});
    at::Tensor answer = denoised;
    if (i > 0 && run.sigmas.value(i + 1) != 0) {
      answer = weights.current.select(0, i).mul(denoised).sub(
          weights.previous.select(0, i).mul(previous));
    }
    x = weights.ratio.select(0, i).mul(x).sub(weights.gain.select(0, i).mul(answer));
    previous = std::move(denoised);
  }
  return x;
}

}  // namespace hearth
