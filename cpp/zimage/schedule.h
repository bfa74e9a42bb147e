#ifndef HEARTH_ZIMAGE_SCHEDULE_H_
#define HEARTH_ZIMAGE_SCHEDULE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace hearth {

constexpr double kZImageShift = 3.0;

// The noise levels of a flow model, 1000 of them, shifted towards noise: sigma = a t / (1 + (a-1)
// t) with t from 0.001 to 1; Esser et al., "Scaling Rectified Flow Transformers" (2024),
// arXiv:2403.03206, equation 23. In float32 and in ComfyUI's order of operations, so equal to its
// levels to the bit. A row in host memory, lowest first.
at::Tensor FlowLevels(double shift);

// ComfyUI's schedule `simple`: every (1000 / steps)-th level from the noisiest on, then 0. With
// `denoise` below 1 the last `steps` steps of a run of steps / denoise. An empty row for no steps.
// Throws Error for negative steps, and for more than there are levels.
at::Tensor SimpleSigmas(double shift, std::int64_t steps, double denoise = 1.0);

// The noise of ComfyUI's samplers for this seed: the same bits as torch's CPU generator gives, on
// whichever device the image is made. float32 in host memory.
at::Tensor SeededNoise(at::IntArrayRef shape, std::uint64_t seed);

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_SCHEDULE_H_
