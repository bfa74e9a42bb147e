// Methods that ask the model twice in a step, or three times, without noise of their own.
#include "sampling/churn.h"
#include "sampling/sampler.h"
#include "sampling/step.h"

namespace hearth {
namespace {

at::Tensor SlopeAt(const at::Tensor& x, const NoiseLevel& sigma, const SamplingRun& run) {
  return Derivative(x, sigma.tensor, run.denoise(x, sigma));
}

// The slope at the beginning of step i, reported.
at::Tensor FirstSlope(const at::Tensor& x, std::int64_t i, const Churn& churn,
                      const SamplingRun& run) {
  const NoiseLevel sigma_hat = churn.level(i);
  const at::Tensor denoised = run.denoise(x, sigma_hat);
  at::Tensor slope = Derivative(x, sigma_hat.tensor, denoised);
  run.observe({i, x, run.sigmas.at(i), sigma_hat, denoised});
  return slope;
}

}  // namespace

// Heun: arXiv:2206.00364, algorithm 2, lines 7 to 11. A step to sigma 0 is Euler's.
at::Tensor SampleHeun(at::Tensor x, const SamplingRun& run) {
  const Churn churn(run);
  const at::Tensor dts = Tail(run.sigmas.tensor()).sub(churn.levels());
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    x = churn.Raise(x, i);
    const at::Tensor slope = FirstSlope(x, i, churn, run);
    const at::Tensor dt = dts.select(0, i);
    const at::Tensor ahead = x.add(slope.mul(dt));
    if (run.sigmas.value(i + 1) == 0) {
      x = ahead;
    } else {
      const at::Tensor next = SlopeAt(ahead, run.sigmas.at(i + 1), run);
      x = x.add(slope.add(next).div(2).mul(dt));
    }
  }
  return x;
}

// Heun++, as published with the extension sd-webui-samplers-scheduler (Carzit): the step is taken
// along a mean of the slopes at its beginning, at its end and one step on, weighed by their levels:
//   w2 = sigma' / (n sigma_0),  w3 = sigma'' / (n sigma_0),  w1 = 1 - w2 - w3,  n slopes.
// The last step but one has two slopes, and the last is Euler's.
at::Tensor SampleHeunpp2(at::Tensor x, const SamplingRun& run) {
  const Churn churn(run, Churn::Draw::kEveryStep);
  const Sigmas& sigmas = run.sigmas;
  const at::Tensor& levels = sigmas.tensor();
  const at::Tensor dts = Tail(levels).sub(churn.levels());
  const at::Tensor between = Tail(levels).sub(Init(levels));
  const at::Tensor of_two = levels.div(levels.select(0, 0).mul(2));
  const at::Tensor of_three = levels.div(levels.select(0, 0).mul(3));
  const double end = sigmas.value(sigmas.steps());
  for (std::int64_t i = 0; i < sigmas.steps(); ++i) {
    x = churn.Raise(x, i);
    const at::Tensor first = FirstSlope(x, i, churn, run);
    const at::Tensor dt = dts.select(0, i);
    at::Tensor slope = first;
    if (sigmas.value(i + 1) != end) {
      const at::Tensor ahead = x.add(first.mul(dt));
      const at::Tensor second = SlopeAt(ahead, sigmas.at(i + 1), run);
      if (sigmas.value(i + 2) == end) {
        const at::Tensor weight = of_two.select(0, i + 1);
        slope = first.mul(weight.neg().add(1)).add(second.mul(weight));
      } else {
        const at::Tensor further = ahead.add(second.mul(between.select(0, i + 1)));
        const at::Tensor third = SlopeAt(further, sigmas.at(i + 2), run);
        const at::Tensor w2 = of_three.select(0, i + 1);
        const at::Tensor w3 = of_three.select(0, i + 2);
        slope = first.mul(w2.neg().add(1).sub(w3)).add(w2.mul(second)).add(w3.mul(third));
      }
    }
    x = x.add(slope.mul(dt));
  }
  return x;
}

// DPM-Solver-2: Lu et al., "DPM-Solver" (2022), arXiv:2206.00927, algorithm 1: the slope in the
// middle of ln sigma is taken for the whole step. A step to sigma 0 is Euler's.
at::Tensor SampleDpm2(at::Tensor x, const SamplingRun& run) {
  const Churn churn(run);
  const at::Tensor following = Tail(run.sigmas.tensor());
  const Sigmas middles(churn.levels().log().lerp(following.log(), 0.5).exp());
  const at::Tensor to_middle = middles.tensor().sub(churn.levels());
  const at::Tensor to_end = following.sub(churn.levels());
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    x = churn.Raise(x, i);
    at::Tensor slope = FirstSlope(x, i, churn, run);
    if (run.sigmas.value(i + 1) != 0) {
      slope = SlopeAt(x.add(slope.mul(to_middle.select(0, i))), middles.at(i), run);
    }
    x = x.add(slope.mul(to_end.select(0, i)));
  }
  return x;
}

}  // namespace hearth
