// UniPC: Zhao et al., "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of
// Diffusion Models" (2023), arXiv:2302.04867, algorithms 1 and 2 for data prediction,
// B(h) = h (bh1) or e^h - 1 (bh2), order 3.
//
// It works on latents of unit variance, x / sqrt(1 + sigma^2), with alpha^2 + std^2 = 1. A last
// level of 0, which has no log-SNR, is replaced by 0.001, and the end is not corrected.
#include <ATen/ops/linalg_solve_ex.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "sampling/sampler.h"
#include "sampling/step.h"

namespace hearth {
namespace {

constexpr double kEnd = 0.001;
constexpr std::int64_t kMaxOrder = 3;
enum class Variant { kBh1, kBh2 };

std::vector<double> Numbers(const at::Tensor& row) {
  const at::Tensor host = row.to(at::kDouble).contiguous();
  const double* const first = host.const_data_ptr<double>();
  return {first, first + host.numel()};
}

// The schedule in the variance-preserving sense; rows in host memory. 1 - e^(2 ln alpha) is a small
// difference at the end, whose rounding shows: the order of operations is ComfyUI's.
struct VpLevels {
  explicit VpLevels(const at::Tensor& sigmas) {
    const at::Tensor log_alpha = sigmas.mul(sigmas).add(1).reciprocal().log().mul(0.5);
    const at::Tensor variance = log_alpha.mul(2).exp().neg().add(1);
    alpha = log_alpha.exp();
    deviation = variance.sqrt();
    lambda = log_alpha.sub(variance.log().mul(0.5));
    scale = sigmas.pow(2).add(1).pow(0.5);
  }
  at::Tensor alpha, deviation, lambda;
  at::Tensor scale;  // latents here times this are the model's
};

// What one update multiplies with. With answers D0 (newest), D1, D2 and the differences
// d_k = (D_k - D0) / ratio_k:
//   base = keep x - gain D0,  predicted = base - residual (sum of predictor_k d_k),
//   corrected = base - residual (sum of corrector_k d_k + corrector_last (D' - D0)).
struct Update {
  double keep;
  double gain;
  double residual;
  std::vector<double> ratios;
  std::vector<double> predictor;
  std::vector<double> corrector;  // empty: none
};

// The system whose solution makes the update exact for polynomials: sum of rho_k r_k^(n-1) = b_n.
struct OrderConditions {
  at::Tensor matrix;
  at::Tensor right;

  std::vector<double> Solution(std::int64_t order) const {
    const at::Tensor left = matrix.slice(0, 0, order).slice(1, 0, order);
    return Numbers(std::get<0>(at::linalg_solve_ex(left, right.slice(0, 0, order))));
  }
};

// h phi_1 and B(h) for a step length; both for -h, as data prediction has it.
struct StepLength {
  StepLength(const at::Tensor& h, Variant variant)
      : minus_h(h.neg()),
        phi1(minus_h.expm1()),
        b_of_h(variant == Variant::kBh1 ? minus_h : minus_h.expm1()) {}
  at::Tensor minus_h, phi1, b_of_h;
};

OrderConditions MakeConditions(const StepLength& step, const std::vector<at::Tensor>& ratios) {
  std::vector<at::Tensor> all = ratios;
  all.push_back(at::ones({}, step.phi1.options()));
  const at::Tensor row = at::stack(all);
  std::vector<at::Tensor> matrix;
  std::vector<at::Tensor> right;
  at::Tensor phi = step.phi1.div(step.minus_h).sub(1);
  double factorial = 1;
  for (std::size_t n = 1; n <= all.size(); ++n) {
    matrix.push_back(row.pow(static_cast<std::int64_t>(n) - 1));
    right.push_back(phi.mul(factorial).div(step.b_of_h));
    factorial *= static_cast<double>(n) + 1;
    phi = phi.div(step.minus_h).sub(1 / factorial);
  }
  return {at::stack(matrix), at::stack(right)};
}

// The update to level `to` with `order` answers, of levels to - 1, to - 2, ...
Update MakeUpdate(const VpLevels& levels, std::int64_t to, std::int64_t order, Variant variant) {
  const at::Tensor from_lambda = levels.lambda.select(0, to - 1);
  const at::Tensor h = levels.lambda.select(0, to).sub(from_lambda);
  const StepLength step(h, variant);
  std::vector<at::Tensor> ratios;
  for (std::int64_t k = 1; k < order; ++k) {
    ratios.push_back(levels.lambda.select(0, to - 1 - k).sub(from_lambda).div(h));
  }
  const at::Tensor alpha = levels.alpha.select(0, to);
  const at::Tensor keep = levels.deviation.select(0, to).div(levels.deviation.select(0, to - 1));
  const std::vector<double> factors =
      Numbers(at::stack({keep, alpha.mul(step.phi1), alpha.mul(step.b_of_h)}));
  Update update{factors[0], factors[1], factors[2], {}, {}, {}};
  if (!ratios.empty()) update.ratios = Numbers(at::stack(ratios));
  const OrderConditions conditions = MakeConditions(step, ratios);
  // The paper's simpler weights where there is one unknown.
  if (order == 2) update.predictor = {0.5};
  if (order > 2) update.predictor = conditions.Solution(order - 1);
  const bool last = to + 1 == levels.lambda.size(0);
  if (!last) {
    update.corrector = order == 1 ? std::vector<double>{0.5} : conditions.Solution(order);
  }
  return update;
}

// Step j leads to level j. The order rises at the beginning and falls at the end.
std::vector<Update> Plan(const VpLevels& levels, Variant variant) {
  const std::int64_t steps = levels.lambda.size(0) - 1;
  const std::int64_t order = std::min(kMaxOrder, steps - 1);
  std::vector<Update> updates;
  if (order == 0) return updates;
  for (std::int64_t to = 1; to <= steps; ++to) {
    const std::int64_t of_this = to < order ? to : std::min(order, steps + 1 - to);
    updates.push_back(MakeUpdate(levels, to, of_this, variant));
  }
  return updates;
}

Sigmas WithEnd(const Sigmas& sigmas) {
  std::vector<double> values = sigmas.values();
  if (values.back() != 0) return sigmas;
  at::Tensor levels = sigmas.tensor().clone();
  levels.select(0, -1).fill_(kEnd);
  values.back() = kEnd;
  return {std::move(levels), std::move(values)};
}

// One run: latents of unit variance, and the answers so far, newest last.
class Run {
 public:
  Run(const at::Tensor& x, const SamplingRun& run, Variant variant)
      : run_(run),
        sigmas_(WithEnd(run.sigmas)),
        updates_(Prepare(sigmas_, variant)),
        x_(x.div(sigmas_.tensor().select(0, 0).pow(2).add(1).sqrt())) {}

  at::Tensor Sample() {
    answers_.push_back(Denoised(x_, 0));
    const std::int64_t steps = sigmas_.steps();
    if (steps == 1) Report(0);
    for (std::int64_t to = 1; to <= static_cast<std::int64_t>(updates_.size()); ++to) {
      // ComfyUI counts the first answer as a step, and the last two updates as one.
      if (to < steps) Report(to - 1);
      Take(to);
    }
    if (steps > 1) Report(steps - 1);
    return x_.div(alpha_.back());
  }

 private:
  std::vector<Update> Prepare(const Sigmas& sigmas, Variant variant) {
    const VpLevels levels(sigmas.tensor().to(at::Device(at::kCPU)));
    alpha_ = Numbers(levels.alpha);
    deviation_ = Numbers(levels.deviation);
    scale_ = Numbers(levels.scale);
    return Plan(levels, variant);
  }

  // The model's answer as the noise it implies, and that as clean latents again.
  at::Tensor Denoised(const at::Tensor& x, std::int64_t level) const {
    const auto at = static_cast<std::size_t>(level);
    const NoiseLevel sigma = sigmas_.at(level);
    const at::Tensor input = x.mul(scale_[at]);
    const at::Tensor noise = Derivative(input, sigma.tensor, run_.denoise(input, sigma));
    return x.sub(noise.mul(deviation_[at])).div(alpha_[at]);
  }

  void Report(std::int64_t index) const {
    const NoiseLevel sigma = sigmas_.at(index);
    run_.observe({index, x_, sigma, sigma, answers_.back()});
  }

  at::Tensor Change(const std::vector<at::Tensor>& differences,
                    const std::vector<double>& weights) const {
    at::Tensor sum;
    for (std::size_t k = 0; k < differences.size(); ++k) {
      const at::Tensor part = differences[k].mul(weights[k]);
      sum = sum.defined() ? sum.add(part) : part;
    }
    return sum;
  }

  void Take(std::int64_t to) {
    const Update& update = updates_[static_cast<std::size_t>(to) - 1];
    const at::Tensor newest = answers_.back();
    std::vector<at::Tensor> differences;
    for (std::size_t k = 0; k < update.ratios.size(); ++k) {
      const at::Tensor& older = answers_[answers_.size() - 2 - k];
      differences.push_back(older.sub(newest).div(update.ratios[k]));
    }
    const at::Tensor base = x_.mul(update.keep).sub(newest.mul(update.gain));
    const at::Tensor predicted = Change(differences, update.predictor);
    x_ = predicted.defined() ? base.sub(predicted.mul(update.residual)) : base;
    if (update.corrector.empty()) return;
    at::Tensor answer = Denoised(x_, to);
    at::Tensor change = answer.sub(newest).mul(update.corrector.back());
    const at::Tensor known = Change(differences, update.corrector);
    if (known.defined()) change = known.add(change);
    x_ = base.sub(change.mul(update.residual));
    answers_.push_back(std::move(answer));
    if (answers_.size() > static_cast<std::size_t>(kMaxOrder)) answers_.erase(answers_.begin());
  }

  const SamplingRun& run_;
  Sigmas sigmas_;
  std::vector<double> alpha_, deviation_, scale_;
  std::vector<Update> updates_;
  at::Tensor x_;
  std::vector<at::Tensor> answers_;
};

}  // namespace

at::Tensor SampleUniPc(at::Tensor x, const SamplingRun& run) {
  return Run(x, run, Variant::kBh1).Sample();
}

at::Tensor SampleUniPcBh2(at::Tensor x, const SamplingRun& run) {
  return Run(x, run, Variant::kBh2).Sample();
}

}  // namespace hearth
