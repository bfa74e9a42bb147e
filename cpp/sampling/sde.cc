// DPM-Solver++ for the diffusion SDE: Lu et al., arXiv:2211.01095, section 5. All three
// work in lambda = ln(alpha / sigma), half the log-SNR, and draw Brownian noise.
#include <utility>

#include "sampling/sampler.h"
#include "sampling/step.h"

namespace hearth {
namespace {

at::Tensor LambdaOf(const at::Tensor& sigma, NoisePath path) {
  return path == NoisePath::kFlow ? sigma.logit().neg() : sigma.log().neg();
}

at::Tensor SigmaOf(const at::Tensor& lambda, NoisePath path) {
  return path == NoisePath::kFlow ? lambda.neg().sigmoid() : lambda.neg().exp();
}

// A flow model's level of 1 has no image in it and so no log-SNR: another stands for it.
Sigmas WithLogSnr(const SamplingRun& run) {
  if (run.options.path != NoisePath::kFlow || run.sigmas.value(0) < 1) return run.sigmas;
  at::Tensor levels = run.sigmas.tensor().clone();
  levels.select(0, 0).fill_(run.options.first_flow_level);
  return Sigmas(std::move(levels));
}

bool Draws(const SamplerOptions& options) { return options.eta > 0 && options.s_noise > 0; }

// What a step of the multistep methods multiplies with; index i is the step from sigma i.
struct SdeWeights {
  at::Tensor h;       // step length in lambda
  at::Tensor h_eta;   // (1 + eta) h
  at::Tensor alpha;   // share of the image at the step's end
  at::Tensor decay;   // of the latents: sigma' / sigma e^(-eta h)
  at::Tensor answer;  // of the newest answer: alpha' (1 - e^-h_eta)
  at::Tensor to;      // sigma'
  at::Tensor noise;   // of the noise beside sigma': sqrt(1 - e^(-2 eta h))
};

SdeWeights MakeSdeWeights(const Sigmas& sigmas, const SamplerOptions& options) {
  const at::Tensor lambda = LambdaOf(sigmas.tensor(), options.path);
  SdeWeights weights;
  weights.h = Tail(lambda).sub(Init(lambda));
  weights.h_eta = weights.h.mul(options.eta + 1);
  weights.to = Tail(sigmas.tensor());
  weights.alpha = weights.to.mul(Tail(lambda).exp());
  weights.decay = weights.to.div(Init(sigmas.tensor())).mul(weights.h.neg().mul(options.eta).exp());
  weights.answer = weights.alpha.mul(weights.h_eta.neg().expm1().neg());
  weights.noise = weights.h.mul(-2).mul(options.eta).expm1().neg().sqrt();
  return weights;
}

// The step of first order, which the multistep methods correct.
at::Tensor FirstOrder(const at::Tensor& x, const at::Tensor& denoised, const SdeWeights& weights,
                      std::int64_t i) {
  return weights.decay.select(0, i).mul(x).add(weights.answer.select(0, i).mul(denoised));
}

at::Tensor WithNoise(const at::Tensor& x, std::int64_t i, const Sigmas& sigmas,
                     const SdeWeights& weights, const SamplingRun& run) {
  if (!Draws(run.options)) return x;
  const at::Tensor noise = run.noise(sigmas.at(i), sigmas.at(i + 1));
  return x.add(
      noise.mul(weights.to.select(0, i)).mul(weights.noise.select(0, i)).mul(run.options.s_noise));
}

// phi_2 in the paper's sense: (e^-z - 1) / z + 1.
at::Tensor Phi2(const at::Tensor& z) { return z.neg().expm1().div(z).add(1); }

// One of the two moves of dpmpp_sde: x' = keep x + answer D + alpha noise s_noise up.
struct SdeMove {
  at::Tensor keep;
  at::Tensor answer;
  at::Tensor alpha;
  at::Tensor up;
};

// Where a move begins and ends, in every step.
struct MoveEnds {
  at::Tensor lambda_from, lambda_to;
  at::Tensor alpha_from, alpha_to;
};

SdeMove MakeMove(const MoveEnds& ends, double eta) {
  const AncestralSplit split =
      SplitForNoise(ends.lambda_from.neg().exp(), ends.lambda_to.neg().exp(), eta);
  const at::Tensor minus_h = split.down.log().neg().sub(ends.lambda_from).neg();
  SdeMove move;
  move.keep = ends.alpha_to.div(ends.alpha_from).mul(minus_h.exp());
  move.answer = ends.alpha_to.mul(minus_h.expm1());
  move.alpha = ends.alpha_to;
  move.up = split.up;
  return move;
}

at::Tensor Moved(const at::Tensor& x, const at::Tensor& denoised, const SdeMove& move,
                 std::int64_t i) {
  return move.keep.select(0, i).mul(x).sub(move.answer.select(0, i).mul(denoised));
}

struct DpmppSdeSteps {
  Sigmas sigmas;
  Sigmas middles;
  SdeMove to_middle;
  SdeMove to_end;
};

DpmppSdeSteps MakeDpmppSdeSteps(const SamplingRun& run) {
  Sigmas sigmas = WithLogSnr(run);
  const at::Tensor from = Init(sigmas.tensor());
  const at::Tensor to = Tail(sigmas.tensor());
  const at::Tensor lambda = LambdaOf(from, run.options.path);
  const at::Tensor lambda_end = LambdaOf(to, run.options.path);
  const at::Tensor lambda_middle = lambda.add(lambda_end.sub(lambda).mul(run.options.r));
  const at::Tensor middle = SigmaOf(lambda_middle, run.options.path);
  const at::Tensor alpha = from.mul(lambda.exp());
  const MoveEnds first{lambda, lambda_middle, alpha, middle.mul(lambda_middle.exp())};
  const MoveEnds second{lambda, lambda_end, alpha, to.mul(lambda_end.exp())};
  return {std::move(sigmas), Sigmas(middle), MakeMove(first, run.options.eta),
          MakeMove(second, run.options.eta)};
}

at::Tensor Drawn(const SdeMove& move, std::int64_t i, const at::Tensor& noise, double s_noise) {
  return move.alpha.select(0, i).mul(noise).mul(s_noise).mul(move.up.select(0, i));
}

}  // namespace

// SDE-DPM-Solver++ of second order in one step: algorithm 1's two stages with the noise of section
// 5, a middle at lambda + r h, and answers mixed as (1 - 1/2r) D + 1/2r D_middle.
at::Tensor SampleDpmppSde(at::Tensor x, const SamplingRun& run) {
  const DpmppSdeSteps steps = MakeDpmppSdeSteps(run);
  const double mixed = 1 / (2 * run.options.r);
  const double s_noise = run.options.s_noise;
  const bool draws = Draws(run.options);
  for (std::int64_t i = 0; i < steps.sigmas.steps(); ++i) {
    const at::Tensor denoised = Answer(x, i, steps.sigmas, run);
    const NoiseLevel from = steps.sigmas.at(i);
    const NoiseLevel to = steps.sigmas.at(i + 1);
    if (to.value == 0) {
      x = denoised;
      continue;
    }
    const NoiseLevel middle = steps.middles.at(i);
    at::Tensor ahead = Moved(x, denoised, steps.to_middle, i);
    if (draws) ahead = ahead.add(Drawn(steps.to_middle, i, run.noise(from, middle), s_noise));
    const at::Tensor answer = denoised.mul(1 - mixed).add(run.denoise(ahead, middle).mul(mixed));
    x = Moved(x, answer, steps.to_end, i);
    if (draws) x = x.add(Drawn(steps.to_end, i, run.noise(from, to), s_noise));
  }
  return x;
}

// SDE-DPM-Solver++(2M): section 5, with phi_1 / 2 for the change of the answer (midpoint) or phi_2
// (heun); that change is taken from the step before. The last step is the answer.
at::Tensor SampleDpmpp2mSde(at::Tensor x, const SamplingRun& run) {
  const Sigmas sigmas = WithLogSnr(run);
  const SdeWeights weights = MakeSdeWeights(sigmas, run.options);
  const at::Tensor gain = weights.h_eta.neg().expm1().neg();
  const at::Tensor change = run.options.solver_type == "heun"
                                ? weights.alpha.mul(gain.div(weights.h_eta.neg()).add(1))
                                : weights.alpha.mul(0.5).mul(gain);
  const at::Tensor of_change = change.mul(weights.h.roll(1).div(weights.h).reciprocal());
  at::Tensor previous;
  for (std::int64_t i = 0; i < sigmas.steps(); ++i) {
    at::Tensor denoised = Answer(x, i, sigmas, run);
    if (sigmas.value(i + 1) == 0) {
      x = denoised;
    } else {
      x = FirstOrder(x, denoised, weights, i);
      if (previous.defined()) x = x.add(of_change.select(0, i).mul(denoised.sub(previous)));
      x = WithNoise(x, i, sigmas, weights, run);
    }
    previous = std::move(denoised);
  }
  return x;
}

// The same carried to third order, with divided differences of three answers in lambda:
//   d1 = d10 + (d10 - d11) r0 / (r0 + r1),  d2 = (d10 - d11) / (r0 + r1),
//   x' = first order + alpha' phi_2 d1 - alpha' phi_3 d2,  phi_3 = phi_2 / h_eta - 1/2.
at::Tensor SampleDpmpp3mSde(at::Tensor x, const SamplingRun& run) {
  const Sigmas sigmas = WithLogSnr(run);
  const SdeWeights weights = MakeSdeWeights(sigmas, run.options);
  const at::Tensor phi2 = Phi2(weights.h_eta);
  const at::Tensor of_slope = weights.alpha.mul(phi2);
  const at::Tensor of_bend = weights.alpha.mul(phi2.div(weights.h_eta).sub(0.5));
  const at::Tensor r0 = weights.h.roll(1).div(weights.h);
  const at::Tensor r1 = weights.h.roll(2).div(weights.h);
  const at::Tensor both = r0.add(r1);
  at::Tensor previous;
  at::Tensor before;
  for (std::int64_t i = 0; i < sigmas.steps(); ++i) {
    at::Tensor denoised = Answer(x, i, sigmas, run);
    if (sigmas.value(i + 1) == 0) {
      x = denoised;
    } else {
      x = FirstOrder(x, denoised, weights, i);
      if (previous.defined()) {
        at::Tensor slope = denoised.sub(previous).div(r0.select(0, i));
        at::Tensor bend;
        if (before.defined()) {
          const at::Tensor change = slope.sub(previous.sub(before).div(r1.select(0, i)));
          bend = change.div(both.select(0, i));
          slope = slope.add(change.mul(r0.select(0, i)).div(both.select(0, i)));
        }
        x = x.add(of_slope.select(0, i).mul(slope));
        if (bend.defined()) x = x.sub(of_bend.select(0, i).mul(bend));
      }
      x = WithNoise(x, i, sigmas, weights, run);
    }
    before = std::exchange(previous, std::move(denoised));
  }
  return x;
}

}  // namespace hearth
