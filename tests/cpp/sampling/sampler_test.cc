// What the samplers promise without any Python: what is called when, what is let through, and that
// a model whose answer is known is followed to it. Equality with ComfyUI is tested in tests/comfy.
#include "sampling/sampler.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace hearth {
namespace {

const StepObserver kUnobserved = [](const StepReport&) {};
const NoiseSource kNoNoise = [](const NoiseLevel&, const NoiseLevel& to) {
  return at::zeros({}, to.tensor.options());
};

// How often a step between two levels above 0 asks the model.
int AnswersAStep(const std::string& name) {
  static const std::map<std::string, int> more{
      {"heun", 2}, {"heunpp2", 3}, {"dpm_2", 2}, {"dpmpp_2s_ancestral", 2}, {"dpmpp_sde", 2}};
  const auto found = more.find(name);
  return found == more.end() ? 1 : found->second;
}

bool IsUniPc(const std::string& name) { return name.starts_with("uni_pc"); }

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
      Sampler(GetParam()).Sample(x, Schedule({8, 3, 1, 0.2, 0}), {constant, kUnobserved, kNoNoise});
  // uni_pc ends at 0.001 instead of 0.
  const double tolerance = IsUniPc(GetParam()) ? 1e-2 : 1e-12;
  EXPECT_LT((end.sub(0.25)).abs().max().item<double>(), tolerance);
  EXPECT_TRUE(at::equal(x, at::full({2, 3}, 9.0, at::kDouble))) << "the caller's latents changed";
}

TEST_P(EverySampler, ObservesEachStepWithItsLevels) {
  const std::vector<double> sigmas{4, 2, 1, 0};
  std::vector<double> asked;
  std::vector<std::int64_t> seen;
  const Denoiser denoise = [&](const at::Tensor& x, const NoiseLevel& sigma) {
    EXPECT_NEAR(sigma.tensor.item<double>(), sigma.value, 1e-12);
    asked.push_back(sigma.value);
    return x.mul(0.5);
  };
  const StepObserver observe = [&](const StepReport& step) {
    EXPECT_EQ(step.sigma.value, sigmas[seen.size()]);
    EXPECT_EQ(step.sigma_hat.value, step.sigma.value);
    EXPECT_TRUE(step.denoised.defined());
    EXPECT_TRUE(IsUniPc(GetParam()) || asked.back() == step.sigma.value);
    seen.push_back(step.index);
  };
  Sampler(GetParam()).Sample(at::ones({1, 2}), Schedule(sigmas), {denoise, observe, kNoNoise});
  EXPECT_EQ(seen, (std::vector<std::int64_t>{0, 1, 2}));
  EXPECT_EQ(asked.front(), 4);
  EXPECT_EQ(AnswersAStep(GetParam()) == 1, asked.size() == 3);
}

TEST_P(EverySampler, AsksTheModelAsOftenAsItsOrderNeeds) {
  int asked = 0;
  const Denoiser denoise = [&](const at::Tensor& x, const NoiseLevel&) {
    ++asked;
    return x.mul(0.5);
  };
  // Two steps between levels above 0, away from the end: the last two may be of lower order.
  const auto answers = [&](const std::vector<double>& sigmas) {
    asked = 0;
    Sampler(GetParam())
        .Sample(at::ones({1, 2}), Schedule(sigmas), {denoise, kUnobserved, kNoNoise});
    return asked;
  };
  EXPECT_EQ(answers({32, 16, 8, 4, 2, 1, 0}) - answers({32, 8, 4, 2, 0}),
            2 * AnswersAStep(GetParam()));
}

TEST_P(EverySampler, HasNothingToDoWithoutASecondLevel) {
  const Denoiser never = [](const at::Tensor&, const NoiseLevel&) -> at::Tensor {
    throw std::logic_error("asked");
  };
  const at::Tensor x = at::ones({1, 2});
  for (const std::vector<double>& sigmas : {std::vector<double>{}, std::vector<double>{1}}) {
    EXPECT_TRUE(
        Sampler(GetParam()).Sample(x, Schedule(sigmas), {never, kUnobserved, kNoNoise}).is_same(x));
  }
}

TEST_P(EverySampler, LetsThroughWhatTheDenoiserThrowsAndStops) {
  int asked = 0;
  const Denoiser denoise = [&](const at::Tensor& x, const NoiseLevel&) {
    if (++asked == 2) throw asked;  // not a std::exception, as an interrupt may not be
    return x;
  };
  EXPECT_THROW(Sampler(GetParam())
                   .Sample(at::ones({1, 2}), Schedule({4, 2, 1}), {denoise, kUnobserved, kNoNoise}),
               int);
  EXPECT_EQ(asked, 2);
}

TEST_P(EverySampler, RefusesAScheduleThatIsNoRow) {
  const Denoiser denoise = [](const at::Tensor& x, const NoiseLevel&) { return x; };
  EXPECT_THROW(Sampler(GetParam())
                   .Sample(at::ones({1, 2}), at::ones({2, 2}), {denoise, kUnobserved, kNoNoise}),
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
  const at::Tensor end = Sampler(name).Sample(at::ones({1, 1}, at::kDouble), Schedule(sigmas),
                                              {gaussian, kUnobserved, kNoNoise});
  return std::abs(end.item<double>() - std::sqrt((1 + 0.1 * 0.1) / (1 + 10 * 10)));
}

TEST(SamplerOrder, HalvingTheStepsShowsTheOrderOfEachMethod) {
  const std::vector<std::pair<std::string, double>> orders{
      {"euler", 1},         {"ddim", 1},     {"heun", 2}, {"dpm_2", 2},
      {"res_multistep", 2}, {"dpmpp_2m", 2}, {"deis", 2}, {"uni_pc", 2}};
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
  sampler.Sample(at::ones({1, 2}), Schedule({8, 4, 2, 0.5, 0}), {denoise, observe});
  EXPECT_EQ(raised, (std::vector<double>{1, 1.2, 1.2, 1}));
}

// Draws ones, and keeps between which levels.
struct Ones {
  std::vector<std::pair<double, double>> drawn;
  NoiseSource Source() {
    return [this](const NoiseLevel& from, const NoiseLevel& to) {
      drawn.emplace_back(from.value, to.value);
      return at::ones({}, at::kDouble);
    };
  }
};

// The latents after one step from sigma 2 to 1 (eps) or 0.8 to 0.4 (flow), with an answer of 0.
double AfterOneStep(const std::string& name, const SamplerOptions& options) {
  const bool flow = options.path == NoisePath::kFlow;
  const Denoiser zero = [](const at::Tensor& x, const NoiseLevel&) { return x.mul(0); };
  Ones noise;
  const std::vector<double> sigmas = flow ? std::vector<double>{0.8, 0.4} : std::vector{2.0, 1.0};
  const at::Tensor x = at::full({1, 1}, sigmas[0], at::kDouble);
  return Sampler(name, options)
      .Sample(x, Schedule(sigmas), {zero, kUnobserved, noise.Source()})
      .item<double>();
}

TEST(Ancestral, ComesBackUpToTheNextLevelsVariance) {
  // Unit noise scaled to the level, an answer of 0: the latents are all noise, so what is kept and
  // what is drawn must have the next level's variance together.
  for (const std::string name : {"euler_ancestral", "dpmpp_2s_ancestral"}) {
    for (const NoisePath path : {NoisePath::kEps, NoisePath::kFlow}) {
      const double level = path == NoisePath::kFlow ? 0.4 : 1.0;
      const double kept = AfterOneStep(name, {.path = path, .s_noise = 0.0});
      const double drawn = AfterOneStep(name, {.path = path}) - kept;
      EXPECT_GT(drawn, 0.1 * level) << name;
      EXPECT_NEAR(kept * kept + drawn * drawn, level * level, 1e-9) << name;
    }
  }
}

TEST(Ancestral, WithoutEtaDrawsNothing) {
  for (const std::string name : {"euler_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde"}) {
    for (const NoisePath path : {NoisePath::kEps, NoisePath::kFlow}) {
      EXPECT_EQ(AfterOneStep(name, {.path = path, .eta = 0.0}),
                AfterOneStep(name, {.path = path, .s_noise = 0.0, .eta = 0.0}));
    }
  }
}

TEST(Sde, KeepsTheNextLevelsVariance) {
  for (const std::string name : {"dpmpp_2m_sde", "dpmpp_3m_sde"}) {
    for (const NoisePath path : {NoisePath::kEps, NoisePath::kFlow}) {
      const double level = path == NoisePath::kFlow ? 0.4 : 1.0;
      const double kept = AfterOneStep(name, {.path = path, .s_noise = 0.0});
      const double drawn = AfterOneStep(name, {.path = path}) - kept;
      EXPECT_NEAR(kept * kept + drawn * drawn, level * level, 1e-9) << name;
    }
  }
}

TEST(Sde, DrawsForTheWayToTheMiddleAndForTheWholeStep) {
  Ones noise;
  const Denoiser zero = [](const at::Tensor& x, const NoiseLevel&) { return x.mul(0); };
  Sampler("dpmpp_sde")
      .Sample(at::ones({1, 1}, at::kDouble), Schedule({4, 1, 0}),
              {zero, kUnobserved, noise.Source()});
  ASSERT_EQ(noise.drawn.size(), 2U);
  EXPECT_EQ(noise.drawn[0].first, 4);
  EXPECT_NEAR(noise.drawn[0].second, 2, 1e-12);  // the middle of ln sigma
  EXPECT_EQ(noise.drawn[1], (std::pair<double, double>{4, 1}));
}

TEST(Sde, AFlowModelsFirstLevelOfOneIsMovedToWhereItHasAnSnr) {
  std::vector<double> asked;
  const Denoiser denoise = [&](const at::Tensor& x, const NoiseLevel& sigma) {
    asked.push_back(sigma.value);
    return x.mul(0.5);
  };
  const SamplerOptions flow{.path = NoisePath::kFlow, .first_flow_level = 0.99};
  const at::Tensor end = Sampler("dpmpp_2m_sde", flow)
                             .Sample(at::ones({1, 1}, at::kDouble), Schedule({1, 0.5, 0}),
                                     {denoise, kUnobserved, kNoNoise});
  EXPECT_EQ(asked, (std::vector<double>{0.99, 0.5}));
  EXPECT_TRUE(end.isfinite().all().item<bool>());
}

TEST(Lcm, MakesTheAnswerNoisyAgainAsTheModelMixes) {
  const Denoiser three = [](const at::Tensor& x, const NoiseLevel&) { return at::full_like(x, 3); };
  const auto after = [&](const SamplerOptions& options, const Renoiser& renoise) {
    Ones noise;
    return Sampler("lcm", options)
        .Sample(at::ones({1, 1}, at::kDouble), Schedule({0.8, 0.4}),
                {three, kUnobserved, noise.Source(), renoise})
        .item<double>();
  };
  EXPECT_DOUBLE_EQ(after({}, nullptr), 3 + 0.4);
  EXPECT_DOUBLE_EQ(after({.path = NoisePath::kFlow}, nullptr), 0.6 * 3 + 0.4);
  EXPECT_DOUBLE_EQ(after({.s_noise = 0.5}, nullptr), 3 + 0.2);
  const Renoiser only_noise = [](const NoiseLevel&, const at::Tensor& noise, const at::Tensor&) {
    return noise;
  };
  EXPECT_DOUBLE_EQ(after({}, only_noise), 1);
}

TEST(SamplerNoise, ASamplerThatDrawsSaysThatThereIsNone) {
  const Denoiser denoise = [](const at::Tensor& x, const NoiseLevel&) { return x; };
  try {
    Sampler("euler_ancestral").Sample(at::ones({1, 2}), Schedule({2, 1}), {denoise, kUnobserved});
    FAIL() << "sampled";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("euler_ancestral draws noise"), std::string::npos);
  }
}

TEST(SamplerOptions, AValueThatDoesNotExistIsRefused) {
  EXPECT_THROW(Sampler("dpmpp_2m_sde", {.solver_type = "euler"}), Error);
  EXPECT_THROW(Sampler("ipndm", {.max_order = 5}), Error);
  EXPECT_THROW(Sampler("deis", {.deis_mode = "rhoab"}), Error);
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
