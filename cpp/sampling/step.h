#ifndef HEARTH_SAMPLING_STEP_H_
#define HEARTH_SAMPLING_STEP_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "sampling/sampler.h"

namespace hearth {

// What the steps of several samplers are made of.

// The derivative dx/dsigma of the probability flow at `sigma`: (x - denoised) / sigma.
at::Tensor Derivative(const at::Tensor& x, const at::Tensor& sigma, const at::Tensor& denoised);

// The model's answer at level `index` of `sigmas`, reported as that step's.
at::Tensor Answer(const at::Tensor& x, std::int64_t index, const Sigmas& sigmas,
                  const SamplingRun& run);

// Where steps between levels go without noise, and the deviation of the noise that brings them back
// up: Song et al., "Denoising Diffusion Implicit Models" (2020), arXiv:2010.02502, equation 16, in
// terms of sigma / alpha:
//   up^2 = eta^2 to^2 (from^2 - to^2) / from^2, at most to^2,  down^2 = to^2 - up^2.
struct AncestralSplit {
  at::Tensor down;
  at::Tensor up;
};
AncestralSplit SplitForNoise(const at::Tensor& from, const at::Tensor& to, double eta);

}  // namespace hearth

#endif  // HEARTH_SAMPLING_STEP_H_
