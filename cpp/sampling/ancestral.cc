// Methods that step below the next level and come back up to it with fresh noise.
#include <ATen/ops/where.h>

#include <utility>

#include "sampling/sampler.h"
#include "sampling/step.h"

namespace hearth {
namespace {

// How each step goes down without noise and up with it; index i is the step from sigma i.
struct DownAndUp {
  Sigmas down;
  at::Tensor up;    // deviation of the noise that is drawn
  at::Tensor keep;  // what the latents are multiplied with before: 1 where undefined
};

DownAndUp EpsSteps(const Sigmas& sigmas, double eta) {
  AncestralSplit split = SplitForNoise(Init(sigmas.tensor()), Tail(sigmas.tensor()), eta);
  return {Sigmas(std::move(split.down)), std::move(split.up), {}};
}

// For x = (1 - sigma) image + sigma noise: from a level below, latents are scaled so that
// the image's share is that of sigma', and noise is drawn for what then lacks:
//   down = sigma' (1 + eta (sigma' / sigma - 1)),  keep = (1 - sigma') / (1 - down),
//   up^2 = sigma'^2 - keep^2 down^2.
// Variances of independent noise add; the path is Lipman et al., arXiv:2210.02747.
DownAndUp FlowSteps(const Sigmas& sigmas, double eta) {
  const at::Tensor to = Tail(sigmas.tensor());
  const at::Tensor down = to.mul(to.div(Init(sigmas.tensor())).sub(1).mul(eta).add(1));
  const at::Tensor image = to.neg().add(1);
  const at::Tensor image_down = down.neg().add(1);
  const at::Tensor lacking =
      to.pow(2).sub(down.pow(2).mul(image.pow(2)).div(image_down.pow(2))).pow(0.5);
  return {Sigmas(down), lacking, image.div(image_down)};
}

// Latents at the level below, brought up to level i + 1.
at::Tensor Up(const at::Tensor& x, std::int64_t i, const DownAndUp& steps, const SamplingRun& run) {
  if (run.options.eta == 0) return x;
  const at::Tensor noise = run.noise(run.sigmas.at(i), run.sigmas.at(i + 1));
  const at::Tensor added = noise.mul(run.options.s_noise).mul(steps.up.select(0, i));
  return (steps.keep.defined() ? steps.keep.select(0, i).mul(x) : x).add(added);
}

// share x + (1 - share) denoised.
at::Tensor Between(const at::Tensor& x, const at::Tensor& denoised, const at::Tensor& share) {
  return share.mul(x).add(share.neg().add(1).mul(denoised));
}

at::Tensor EulerAncestralEps(at::Tensor x, const SamplingRun& run) {
  const DownAndUp steps = EpsSteps(run.sigmas, run.options.eta);
  const at::Tensor dt = steps.down.tensor().sub(Init(run.sigmas.tensor()));
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    at::Tensor denoised = Answer(x, i, run.sigmas, run);
    if (steps.down.value(i) == 0) {
      x = std::move(denoised);
      continue;
    }
    const at::Tensor slope = Derivative(x, run.sigmas.at(i).tensor, denoised);
    x = Up(x.add(slope.mul(dt.select(0, i))), i, steps, run);
  }
  return x;
}

at::Tensor EulerAncestralFlow(at::Tensor x, const SamplingRun& run) {
  const DownAndUp steps = FlowSteps(run.sigmas, run.options.eta);
  const at::Tensor share = steps.down.tensor().div(Init(run.sigmas.tensor()));
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    at::Tensor denoised = Answer(x, i, run.sigmas, run);
    if (run.sigmas.value(i + 1) == 0) {
      x = std::move(denoised);
      continue;
    }
    x = Up(Between(x, denoised, share.select(0, i)), i, steps, run);
  }
  return x;
}

at::Tensor Dpmpp2sAncestralEps(at::Tensor x, const SamplingRun& run) {
  const DownAndUp steps = EpsSteps(run.sigmas, run.options.eta);
  const at::Tensor from = Init(run.sigmas.tensor());
  const at::Tensor t = from.log().neg();
  const at::Tensor t_down = steps.down.tensor().log().neg();
  const at::Tensor h = t_down.sub(t);
  const Sigmas middles(t.add(h.mul(0.5)).neg().exp());
  const at::Tensor level = t.neg().exp();
  const at::Tensor half_ratio = middles.tensor().div(level);
  const at::Tensor half_gain = h.neg().mul(0.5).expm1();
  const at::Tensor ratio = t_down.neg().exp().div(level);
  const at::Tensor gain = h.neg().expm1();
  const at::Tensor dt = steps.down.tensor().sub(from);
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    const at::Tensor denoised = Answer(x, i, run.sigmas, run);
    if (steps.down.value(i) == 0) {
      x = x.add(Derivative(x, from.select(0, i), denoised).mul(dt.select(0, i)));
    } else {
      const at::Tensor middle =
          half_ratio.select(0, i).mul(x).sub(half_gain.select(0, i).mul(denoised));
      const at::Tensor answer = run.denoise(middle, middles.at(i));
      x = ratio.select(0, i).mul(x).sub(gain.select(0, i).mul(answer));
    }
    if (run.sigmas.value(i + 1) > 0) x = Up(x, i, steps, run);
  }
  return x;
}

// The level in the middle of ln((1 - sigma) / sigma); 0.9999 after a level of 1, which has none.
at::Tensor FlowMiddles(const at::Tensor& from, const at::Tensor& down) {
  const auto log_snr = [](const at::Tensor& sigma) { return sigma.neg().add(1).div(sigma).log(); };
  const at::Tensor start = log_snr(from);
  const at::Tensor middle = start.add(log_snr(down).sub(start).mul(0.5));
  return at::where(from.eq(1.0), 0.9999, middle.exp().add(1).reciprocal()).to(from.dtype());
}

at::Tensor Dpmpp2sAncestralFlow(at::Tensor x, const SamplingRun& run) {
  const DownAndUp steps = FlowSteps(run.sigmas, run.options.eta);
  const at::Tensor from = Init(run.sigmas.tensor());
  const Sigmas middles(FlowMiddles(from, steps.down.tensor()));
  const at::Tensor half = middles.tensor().div(from);
  const at::Tensor share = steps.down.tensor().div(from);
  const at::Tensor dt = steps.down.tensor().sub(from);
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    const at::Tensor denoised = Answer(x, i, run.sigmas, run);
    if (run.sigmas.value(i + 1) == 0) {
      x = x.add(Derivative(x, from.select(0, i), denoised).mul(dt.select(0, i)));
      continue;
    }
    const at::Tensor middle = Between(x, denoised, half.select(0, i));
    const at::Tensor answer = run.denoise(middle, middles.at(i));
    x = Up(Between(x, answer, share.select(0, i)), i, steps, run);
  }
  return x;
}

// The noise of lcm: cut off and scaled as the options say.
at::Tensor LcmNoise(std::int64_t i, const SamplingRun& run) {
  const SamplerOptions& options = run.options;
  at::Tensor noise = run.noise(run.sigmas.at(i), run.sigmas.at(i + 1));
  if (options.noise_clip_std > 0) {
    const at::Tensor most = noise.std().mul(options.noise_clip_std);
    noise = noise.clamp(most.neg(), most);
  }
  const std::int64_t last = run.sigmas.steps() - 1;
  const double done = last > 0 ? static_cast<double>(i) / static_cast<double>(last) : 0.0;
  const double end = options.s_noise_end.value_or(options.s_noise);
  const double scale = options.s_noise + (end - options.s_noise) * done;
  return scale == 1.0 ? noise : noise.mul(scale);
}

}  // namespace

// Euler down, noise up. After a step down to 0 the answer itself is what remains.
at::Tensor SampleEulerAncestral(at::Tensor x, const SamplingRun& run) {
  return run.options.path == NoisePath::kFlow ? EulerAncestralFlow(std::move(x), run)
                                              : EulerAncestralEps(std::move(x), run);
}

// DPM-Solver++(2S) down, noise up: Lu et al., arXiv:2211.01095, algorithm 1 with r = 1/2, for eps
// in t = -ln sigma. For flow models the middle lies in the log-SNR and both moves are lines towards
// an answer, x(s) = (s / sigma) x + (1 - s / sigma) D. The last step is Euler's.
at::Tensor SampleDpmpp2sAncestral(at::Tensor x, const SamplingRun& run) {
  return run.options.path == NoisePath::kFlow ? Dpmpp2sAncestralFlow(std::move(x), run)
                                              : Dpmpp2sAncestralEps(std::move(x), run);
}

// Luo et al., "Latent Consistency Models" (2023), arXiv:2310.04378, algorithm 3: the answer, made
// noisy again up to the next level.
at::Tensor SampleLcm(at::Tensor x, const SamplingRun& run) {
  const bool flow = run.options.path == NoisePath::kFlow;
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    const at::Tensor denoised = Answer(x, i, run.sigmas, run);
    x = denoised;
    if (run.sigmas.value(i + 1) <= 0) continue;
    const at::Tensor noise = LcmNoise(i, run);
    const NoiseLevel sigma = run.sigmas.at(i + 1);
    if (run.renoise) {
      x = run.renoise(sigma, noise, denoised);
    } else {
      const at::Tensor clean = flow ? denoised.mul(sigma.tensor.neg().add(1)) : denoised;
      x = noise.mul(sigma.tensor).add(clean);
    }
  }
  return x;
}

}  // namespace hearth
