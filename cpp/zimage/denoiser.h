#ifndef HEARTH_ZIMAGE_DENOISER_H_
#define HEARTH_ZIMAGE_DENOISER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sampling/sampler.h"
#include "zimage/transformer.h"
#include "zimage/velocity_program.h"

namespace hearth {

// What an image is to show, as embeddings.
struct Prompt {
  at::Tensor positive;
  at::Tensor negative;    // not looked at with a guidance of 1
  double guidance = 1.0;  // x0 = negative + guidance (positive - negative)
};

// The denoiser of one image, or of a batch of one size. What no step changes is computed here,
// once: refined captions, positions, and the modulation at every noise level of the schedule.
class ImageDenoiser {
 public:
  // `latents`: what will be denoised, for its size. Keeps `transformer` by reference. `programs`:
  // of the same transformer, through which its steps go; may be null.
  ImageDenoiser(const Transformer& transformer, const Prompt& prompt, const at::Tensor& latents,
                const at::Tensor& sigmas, VelocityPrograms* programs = nullptr);

  // The estimate of the clean latents. A level that is not of the schedule (methods that look
  // between two steps) has its modulation computed then. With programs one thread at a time.
  at::Tensor operator()(const at::Tensor& x, const NoiseLevel& sigma) const;

 private:
  struct Guide {
    PreparedCaption caption;
    std::optional<PreparedImage> image;  // none with a program, which has its own
    std::shared_ptr<VelocityProgram> program;
  };
  // The gates of one noise level.
  struct Level {
    const PreparedLevels& levels;
    at::Tensor rows;  // packed; undefined: not yet
    std::int64_t index;
  };
  Guide MakeGuide(const at::Tensor& embedding, const at::Tensor& latents) const;
  at::Tensor Velocity(const at::Tensor& x, const Guide& guide, const Level& level) const;

  const Transformer& transformer_;
  VelocityPrograms* programs_;
  double guidance_;
  Guide positive_;
  std::optional<Guide> negative_;
  std::shared_ptr<const PreparedSchedule> schedule_;  // its rows undefined without programs
};

struct SamplingRequest {
  std::string sampler;  // one that draws no noise at each step
  at::Tensor sigmas;    // noisiest first, float32
  at::Tensor noise;     // batch x channels x height x width, float32
  at::Tensor start;     // latents to begin from, in the transformer's format; undefined: empty ones
};

// Latents in the transformer's format, float32, on its device. Throws Error for an unknown sampler,
// before anything is computed, and what `observe` throws.
at::Tensor SampleLatents(const Transformer& transformer, const Prompt& prompt,
                         const SamplingRequest& request, const StepObserver& observe);

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_DENOISER_H_
