#include "zimage/denoiser.h"

#include <c10/core/GradMode.h>

#include <algorithm>

#include "base/error.h"

namespace hearth {
namespace {

std::shared_ptr<const PreparedSchedule> ScheduleFor(const Transformer& transformer,
                                                    const Sigmas& sigmas,
                                                    VelocityPrograms* programs) {
  if (programs != nullptr) return programs->ScheduleOf(sigmas);
  return std::make_shared<const PreparedSchedule>(PrepareSchedule(transformer, sigmas));
}

// x = sigma noise + (1 - sigma) image, the straight path that flow models are trained on.
at::Tensor Noised(const SamplingRequest& request, const at::Tensor& sigma, at::Device device) {
  const at::Tensor noise = request.noise.to(device).mul(sigma);
  if (!request.start.defined()) return noise;
  return noise.add(request.start.to(device).mul(sigma.neg().add(1.0)));
}

}  // namespace

ImageDenoiser::ImageDenoiser(const Transformer& transformer, const Prompt& prompt,
                             const at::Tensor& latents, const at::Tensor& sigmas,
                             VelocityPrograms* programs)
    : transformer_(transformer),
      programs_(programs),
      guidance_(prompt.guidance),
      positive_(MakeGuide(prompt.positive, latents)),
      schedule_(ScheduleFor(transformer, Sigmas(sigmas), programs)) {
  if (guidance_ == 1.0) return;
  if (!prompt.negative.defined()) {
    throw Error("A guidance other than 1 needs a negative prompt; an empty one will do.");
  }
  negative_ = MakeGuide(prompt.negative, latents);
}

ImageDenoiser::Guide ImageDenoiser::MakeGuide(const at::Tensor& embedding,
                                              const at::Tensor& latents) const {
  Guide guide{transformer_.PrepareCaption(embedding), std::nullopt, nullptr};
  const at::Tensor& tokens = guide.caption.tokens;
  if (programs_ != nullptr) {
    guide.program = programs_->For(
        {latents.size(0), latents.size(2), latents.size(3), tokens.size(0), tokens.size(1)});
  }
  if (!guide.program) {
    guide.image = transformer_.PrepareImage(guide.caption, latents.size(2), latents.size(3));
  }
  return guide;
}

at::Tensor ImageDenoiser::Velocity(const at::Tensor& x, const Guide& guide,
                                   const Level& level) const {
  if (!guide.program) {
    return transformer_.Velocity(x, guide.caption, *guide.image, level.levels, level.index);
  }
  const at::Tensor rows = level.rows.defined() ? level.rows : Packed(level.levels);
  return guide.program->Velocity(x, guide.caption, rows.select(0, level.index));
}

at::Tensor ImageDenoiser::operator()(const at::Tensor& x, const NoiseLevel& sigma) const {
  const c10::NoGradGuard no_grad;
  const std::vector<double>& sigmas = schedule_->sigmas;
  const auto found = std::find(sigmas.begin(), sigmas.end(), sigma.value);
  const bool known = found != sigmas.end();
  const PreparedLevels between =
      known ? PreparedLevels{} : transformer_.PrepareLevels(sigma.tensor.view({1}));
  const Level level = known ? Level{schedule_->levels, schedule_->rows, found - sigmas.begin()}
                            : Level{between, at::Tensor(), 0};
  const auto clean = [&](const Guide& guide) {
    return x.sub(Velocity(x, guide, level).mul(sigma.tensor));
  };
  const at::Tensor positive = clean(positive_);
  if (!negative_) return positive;
  const at::Tensor negative = clean(*negative_);
  return negative.add(positive.sub(negative).mul(guidance_));
}

at::Tensor SampleLatents(const Transformer& transformer, const Prompt& prompt,
                         const SamplingRequest& request, const StepObserver& observe) {
  const c10::NoGradGuard no_grad;
  const Sampler sampler(request.sampler);
  const at::Device device = transformer.options().device;
  const at::Tensor sigmas = request.sigmas.to(device);
  if (sigmas.numel() == 0) {
    return request.start.defined() ? request.start.to(device) : request.noise.to(device).mul(0.0);
  }
  const at::Tensor x = Noised(request, sigmas.select(0, 0), device);
  const ImageDenoiser denoiser(transformer, prompt, x, sigmas);
  const Denoiser denoise = [&denoiser](const at::Tensor& latents, const NoiseLevel& sigma) {
    return denoiser(latents, sigma);
  };
  const at::Tensor latents = sampler.Sample(x, sigmas, {denoise, observe});
  // 1 where the schedule ends in an image; latents that are still noisy are scaled back.
  return latents.div(sigmas.select(0, -1).neg().add(1.0));
}

}  // namespace hearth
