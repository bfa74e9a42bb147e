#include "sampling/churn.h"

#include <ATen/ops/randn_like.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numbers>
#include <utility>

namespace hearth {
namespace {

// How much the noise of each step is raised, relative to its sigma.
std::vector<double> Gammas(const SamplingRun& run) {
  const SamplerOptions& options = run.options;
  const double share = options.s_churn / static_cast<double>(run.sigmas.steps());
  const double most = std::min(share, std::numbers::sqrt2 - 1);
  std::vector<double> gammas;
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    const double sigma = run.sigmas.value(i);
    const bool inside = options.s_tmin <= sigma && sigma <= options.s_tmax;
    gammas.push_back(options.s_churn > 0 && inside ? most : 0.0);
  }
  return gammas;
}

bool AnyAboveZero(const std::vector<double>& numbers) {
  return std::any_of(numbers.begin(), numbers.end(), [](double each) { return each > 0; });
}

Sigmas Raised(const Sigmas& sigmas, const std::vector<double>& gammas) {
  std::vector<double> values(sigmas.values().begin(), sigmas.values().end() - 1);
  const at::Tensor plain = Init(sigmas.tensor());
  if (!AnyAboveZero(gammas)) return {plain, std::move(values)};
  std::vector<double> factors;
  for (std::size_t i = 0; i < gammas.size(); ++i) {
    factors.push_back(gammas[i] + 1);
    values[i] *= factors[i];
  }
  return {plain.mul(at::tensor(factors, plain.options())), std::move(values)};
}

}  // namespace

Churn::Churn(const SamplingRun& run, Draw draw)
    : draws_every_step_(draw == Draw::kEveryStep && run.options.s_churn > 0),
      s_noise_(run.options.s_noise),
      gammas_(Gammas(run)),
      levels_(Raised(run.sigmas, gammas_)) {
  if (!AnyAboveZero(gammas_)) return;
  added_ = levels_.tensor().pow(2).sub(Init(run.sigmas.tensor()).pow(2)).pow(0.5);
}

at::Tensor Churn::Raise(const at::Tensor& x, std::int64_t index) const {
  const bool raised = gammas_[static_cast<std::size_t>(index)] > 0;
  if (!raised && !draws_every_step_) return x;
  const at::Tensor noise = at::randn_like(x).mul(s_noise_);
  return raised ? x.add(noise.mul(added_.select(0, index))) : x;
}

}  // namespace hearth
