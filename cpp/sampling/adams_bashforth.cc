// Linear multistep methods over the slope (x - D) / sigma, which is the model's estimate of the
// noise: x' = x + sum of c_k times the slope k steps ago. Like ComfyUI's functions these report the
// latents that the run began with.
#include <ATen/ops/cat.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "sampling/sampler.h"
#include "sampling/step.h"

namespace hearth {
namespace {

// Slopes, newest first.
class Slopes {
 public:
  explicit Slopes(std::int64_t max_order) : max_order_(static_cast<std::size_t>(max_order)) {}

  void Add(at::Tensor slope) {
    slopes_.push_front(std::move(slope));
    if (slopes_.size() > max_order_) slopes_.pop_back();
  }
  std::size_t size() const { return slopes_.size(); }
  // x and weights[k] times the slope k steps ago, for all k.
  at::Tensor AddedTo(at::Tensor x, const std::vector<double>& weights) const {
    for (std::size_t k = 0; k < weights.size(); ++k) x = x.add(slopes_[k].mul(weights[k]));
    return x;
  }
  at::Tensor Sum(const std::vector<double>& weights) const {
    at::Tensor sum = slopes_[0].mul(weights[0]);
    for (std::size_t k = 1; k < weights.size(); ++k) sum = sum.add(slopes_[k].mul(weights[k]));
    return sum;
  }

 private:
  std::size_t max_order_;
  std::deque<at::Tensor> slopes_;
};

// Adams-Bashforth for equal steps: Hairer, Norsett, Wanner, "Solving Ordinary Differential
// Equations I", section III.1; by order. The sum is divided by the last number.
struct EqualSteps {
  std::vector<double> weights;
  double divisor;
};
const std::array<EqualSteps, 4>& AdamsBashforth() {
  static const std::array<EqualSteps, 4> orders{{
      {{1}, 1},
      {{3, -1}, 2},
      {{23, -16, 5}, 12},
      {{55, -59, 37, -9}, 24},
  }};
  return orders;
}

at::Tensor Ask(const at::Tensor& x, std::int64_t i, const at::Tensor& start,
               const SamplingRun& run) {
  const NoiseLevel sigma = run.sigmas.at(i);
  at::Tensor denoised = run.denoise(x, sigma);
  run.observe({i, start, sigma, sigma, denoised});
  return denoised;
}

// Times of the variance-preserving process that has these sigmas; Song et al., "Score-Based
// Generative Modeling through SDEs" (2020), arXiv:2011.13456, appendix C: alpha(t) = exp(-t^2 (b1 -
// b0) / 2 - t b0), fitted to sigma = 0.002 at t = 0.001 and 80 at t = 1 as Karras et al. do.
// In ComfyUI's order of operations: 1 - alpha is a small difference, and its rounding shows.
class VpTime {
 public:
  VpTime() {
    constexpr double kFirstTime = 1e-3;
    // One in float32 and one in float64, as ComfyUI has them: of NumPy, whose logarithm of float32
    // (AVX2, AVX-512) is the lower neighbour of ln(0.002^2 + 1). A pixel in thousands shows it.
    constexpr double kLogOfLowVariance = 0x1.0fffdap-18;
    const at::Tensor low = at::scalar_tensor(kLogOfLowVariance, at::kFloat).div(kFirstTime);
    const at::Tensor high = at::scalar_tensor(80.0, at::kDouble).pow(2).add(1).log();
    const at::Tensor slope = low.sub(high).mul(2).div(kFirstTime - 1);
    first_ = high.sub(slope.mul(0.5));
    slope_ = slope;
    rise_ = slope.add(first_).sub(first_);
  }

  at::Tensor Of(const at::Tensor& sigmas) const {
    const at::Tensor log_variance = sigmas.pow(2).add(1).log();
    return first_.pow(2).add(slope_.mul(2).mul(log_variance)).sqrt().sub(first_).div(slope_);
  }

  // What the slope is to be weighed with at time t: -(d ln alpha / dt) / 2 sqrt(alpha (1 - alpha)).
  at::Tensor Weight(const at::Tensor& t) const {
    const at::Tensor alpha = t.pow(2).mul(-0.5).mul(rise_).sub(t.mul(first_)).exp();
    // 1 but for rounding: the derivative as automatic differentiation of ln alpha has it.
    const at::Tensor one = alpha.reciprocal().mul(alpha);
    const at::Tensor rate = one.mul(rise_).mul(-0.5).mul(t.mul(2)).sub(one.mul(first_));
    return rate.mul(-0.5).div(alpha.mul(alpha.neg().add(1)).sqrt());
  }

 private:
  at::Tensor first_, slope_, rise_;
};

// The polynomial that is 1 at times[j] and 0 at the others.
at::Tensor Lagrange(const at::Tensor& times, std::int64_t j, const at::Tensor& t) {
  at::Tensor product;
  for (std::int64_t k = 0; k < times.size(0); ++k) {
    if (k == j) continue;
    const at::Tensor other = times.select(0, k);
    const at::Tensor factor = t.sub(other).div(times.select(0, j).sub(other));
    product = product.defined() ? product.mul(factor) : factor;
  }
  return product;
}

// The weights of step i's slopes, newest first: integrals of Weight times the polynomials through
// the last `order` times, from time i to time i + 1.
std::vector<double> StepWeights(const VpTime& process, const at::Tensor& times, std::int64_t i,
                                std::int64_t order) {
  constexpr std::int64_t kPoints = 10000;
  const at::Tensor from = times.select(0, i);
  const at::Tensor to = times.select(0, i + 1);
  const at::Tensor points = at::linspace(from, to, kPoints, times.options());
  const at::Tensor width = to.sub(from).div(kPoints);
  const at::Tensor weight = process.Weight(points);
  const at::Tensor last = times.slice(0, i + 1 - order, i + 1).flip(0);
  std::vector<at::Tensor> sums;
  for (std::int64_t j = 0; j < order; ++j) {
    sums.push_back(weight.mul(Lagrange(last, j, points)).sum().mul(width));
  }
  const at::Tensor row = at::stack(sums).to(at::kDouble).contiguous();
  const double* const first = row.const_data_ptr<double>();
  return {first, first + order};
}

std::int64_t OrderAt(std::int64_t i, const SamplingRun& run) {
  return std::min(run.options.max_order, i + 1);
}

// By step; empty for a step of first order, which is Euler's.
std::vector<std::vector<double>> DeisWeights(const SamplingRun& run) {
  const VpTime process;
  const at::Tensor times = process.Of(run.sigmas.tensor().to(at::Device(at::kCPU)));
  std::vector<std::vector<double>> weights;
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    const std::int64_t order = run.sigmas.value(i + 1) <= 0 ? 1 : OrderAt(i, run);
    weights.push_back(order == 1 ? std::vector<double>{} : StepWeights(process, times, i, order));
  }
  return weights;
}

}  // namespace

// Improved PNDM: Zhang, Chen, "Fast Sampling of Diffusion Models with Exponential Integrator"
// (2022), arXiv:2204.13902, iPNDM, with the noise as what is integrated over sigma. The step
// to sigma 0 is the answer.
at::Tensor SampleIpndm(at::Tensor x, const SamplingRun& run) {
  const at::Tensor start = x;
  const at::Tensor dt = Tail(run.sigmas.tensor()).sub(Init(run.sigmas.tensor()));
  Slopes slopes(run.options.max_order);
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    at::Tensor denoised = Ask(x, i, start, run);
    if (run.sigmas.value(i + 1) == 0) {
      x = std::move(denoised);
      continue;
    }
    slopes.Add(Derivative(x, run.sigmas.at(i).tensor, denoised));
    const EqualSteps& order = AdamsBashforth().at(slopes.size() - 1);
    x = x.add(dt.select(0, i).mul(slopes.Sum(order.weights)).div(order.divisor));
  }
  return x;
}

// DEIS, tAB: arXiv:2204.13902: the noise is extrapolated by a
// polynomial in time and integrated exactly (by 10000 rectangles). The first step and one to 0 are
// Euler's.
at::Tensor SampleDeis(at::Tensor x, const SamplingRun& run) {
  const at::Tensor start = x;
  const std::vector<std::vector<double>> weights = DeisWeights(run);
  const at::Tensor dt = Tail(run.sigmas.tensor()).sub(Init(run.sigmas.tensor()));
  Slopes slopes(run.options.max_order);
  for (std::int64_t i = 0; i < run.sigmas.steps(); ++i) {
    const at::Tensor denoised = Ask(x, i, start, run);
    at::Tensor slope = Derivative(x, run.sigmas.at(i).tensor, denoised);
    const std::vector<double>& step = weights[static_cast<std::size_t>(i)];
    if (step.empty()) {
      x = x.add(dt.select(0, i).mul(slope));
      slopes.Add(std::move(slope));
    } else {
      slopes.Add(std::move(slope));
      x = slopes.AddedTo(x, step);
    }
  }
  return x;
}

}  // namespace hearth
