// What the samplers promise without any Python: what is called when, what is let through, and that
// a model whose answer is known is followed to it. Equality with ComfyUI is tested in tests/comfy.
#include "sampling/sampler.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.h"

namespace hearth {
namespace {

const StepObserver kUnobserved = [](const StepReport&) {};

at::Tensor Schedule(const std::vector<double>& sigmas) { return at::tensor(sigmas); }

class EverySampler : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Samplers, EverySampler, testing::ValuesIn(Sampler::Names()),
                         [](const auto& name) { return name.param; });

TEST_P(EverySampler, EndsAtAConstantAnswer) {
  const Denoiser constant = [](const at::Tensor& x, const NoiseLevel&) {
    return at::full(x.sizes(), 0.25, x.options());
  };
  const at::Tensor x = at::full({2, 3}, 9.0, at::kDouble);
  const at::Tensor end =
      Sampler(GetParam()).Sample(x, Schedule({8, 3, 1, 0.2, 0}), constant, kUnobserved);
  EXPECT_LT((end.sub(0.25)).abs().max().item<double>(), 1e-12);
  EXPECT_TRUE(at::equal(x, at::full({2, 3}, 9.0, at::kDouble))) << "the caller's latents changed";
}

TEST_P(EverySampler, ObservesEachStepAfterItsAnswer) {
  std::vector<double> asked;
  std::vector<std::int64_t> seen;
  const Denoiser denoise = [&](const at::Tensor& x, const NoiseLevel& sigma) {
    EXPECT_EQ(asked.size(), seen.size());
    EXPECT_EQ(sigma.tensor.item<double>(), sigma.value);
    asked.push_back(sigma.value);
    return x.mul(0.5);
  };
  const StepObserver observe = [&](const StepReport& step) {
    EXPECT_EQ(asked.back(), step.sigma.value);
    EXPECT_EQ(step.sigma_hat.value, step.sigma.value);
    EXPECT_TRUE(at::equal(step.denoised, step.x.mul(0.5)));
    seen.push_back(step.index);
  };
  Sampler(GetParam()).Sample(at::ones({1, 2}), Schedule({4, 2, 1, 0}), denoise, observe);
  EXPECT_EQ(asked, (std::vector<double>{4, 2, 1}));
  EXPECT_EQ(seen, (std::vector<std::int64_t>{0, 1, 2}));
}

TEST_P(EverySampler, HasNothingToDoWithoutASecondLevel) {
  const Denoiser never = [](const at::Tensor&, const NoiseLevel&) -> at::Tensor {
    throw std::logic_error("asked");
  };
  const at::Tensor x = at::ones({1, 2});
  for (const std::vector<double>& sigmas : {std::vector<double>{}, std::vector<double>{1}}) {
    EXPECT_TRUE(Sampler(GetParam()).Sample(x, Schedule(sigmas), never, kUnobserved).is_same(x));
  }
}

TEST_P(EverySampler, LetsThroughWhatTheDenoiserThrowsAndStops) {
  int asked = 0;
  const Denoiser denoise = [&](const at::Tensor& x, const NoiseLevel&) {
    if (++asked == 2) throw asked;  // not a std::exception, as an interrupt may not be
    return x;
  };
  EXPECT_THROW(
      Sampler(GetParam()).Sample(at::ones({1, 2}), Schedule({4, 2, 1}), denoise, kUnobserved), int);
  EXPECT_EQ(asked, 2);
}

TEST_P(EverySampler, RefusesAScheduleThatIsNoRow) {
  const Denoiser denoise = [](const at::Tensor& x, const NoiseLevel&) { return x; };
  EXPECT_THROW(Sampler(GetParam()).Sample(at::ones({1, 2}), at::ones({2, 2}), denoise, kUnobserved),
               Error);
}

// D = x / (1 + sigma^2): unit noise around unit data, whose exact path is
// x(sigma') = x(sigma) sqrt((1 + sigma'^2) / (1 + sigma^2)).
double ErrorOnGaussianPath(const std::string& name, int steps) {
  std::vector<double> sigmas;
  for (int i = 0; i <= steps; ++i) sigmas.push_back(10 * std::pow(0.01, double(i) / steps));
  const Denoiser gaussian = [](const at::Tensor& x, const NoiseLevel& sigma) {
    return x.div(1 + sigma.value * sigma.value);
  };
  const at::Tensor end =
      Sampler(name).Sample(at::ones({1, 1}, at::kDouble), Schedule(sigmas), gaussian, kUnobserved);
  return std::abs(end.item<double>() - std::sqrt((1 + 0.1 * 0.1) / (1 + 10 * 10)));
}

TEST(SamplerOrder, HalvingTheStepsShowsTheOrderOfEachMethod) {
  const std::vector<std::pair<std::string, double>> orders{
      {"euler", 1}, {"res_multistep", 2}, {"dpmpp_2m", 2}};
  for (const auto& [name, order] : orders) {
    const double ratio = ErrorOnGaussianPath(name, 80) / ErrorOnGaussianPath(name, 160);
    EXPECT_NEAR(std::log2(ratio), order, 0.25) << name;
  }
}

TEST(Euler, AsksWithRaisedNoiseInsideTheBand) {
  std::vector<double> raised;
  const Denoiser denoise = [](const at::Tensor& x, const NoiseLevel&) { return x.mul(0.5); };
  const StepObserver observe = [&](const StepReport& step) {
    raised.push_back(step.sigma_hat.value / step.sigma.value);
    EXPECT_DOUBLE_EQ(step.sigma_hat.tensor.item<double>(), step.sigma_hat.value);
  };
  const Sampler sampler("euler", {.s_churn = 0.8, .s_tmin = 1, .s_tmax = 4, .s_noise = 1});
  sampler.Sample(at::ones({1, 2}), Schedule({8, 4, 2, 0.5, 0}), denoise, observe);
  EXPECT_EQ(raised, (std::vector<double>{1, 1.2, 1.2, 1}));
}

TEST(SamplerName, AnUnknownOneIsAnsweredWithTheNearest) {
  try {
    Sampler("res_multstep");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean \"res_multistep\"?"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace hearth
