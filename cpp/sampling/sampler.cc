#include "sampling/sampler.h"

#include <c10/core/GradMode.h>

#include <array>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/nearest.h"

namespace hearth {
namespace {

struct NamedSampler {
  std::string_view name;
  SamplerFunction function;
};

constexpr std::array<NamedSampler, 3> kSamplers{{
    {"euler", &SampleEuler},
    {"res_multistep", &SampleResMultistep},
    {"dpmpp_2m", &SampleDpmpp2m},
}};

SamplerFunction FindSampler(const std::string& name) {
  for (const NamedSampler& sampler : kSamplers) {
    if (sampler.name == name) return sampler.function;
  }
  const std::vector<std::string> names = Sampler::Names();
  const std::string nearest = NearestWord(name, names);
  std::string list;
  for (const std::string& known : names) list += (list.empty() ? "" : ", ") + known;
  throw Error("hearth has no sampler \"" + name + "\"" +
              (nearest.empty() ? "." : "; did you mean \"" + nearest + "\"?") + " It has: " + list +
              ".");
}

}  // namespace

Sampler::Sampler(const std::string& name, SamplerOptions options)
    : function_(FindSampler(name)), options_(options) {}

at::Tensor Sampler::Sample(const at::Tensor& x, const at::Tensor& sigmas, const Denoiser& denoise,
                           const StepObserver& observe) const {
  const c10::NoGradGuard no_grad;
  const Sigmas schedule(sigmas);
  if (schedule.steps() == 0) return x;
  return function_(x, {schedule, options_, denoise, observe});
}

std::vector<std::string> Sampler::Names() {
  std::vector<std::string> names;
  for (const NamedSampler& sampler : kSamplers) names.emplace_back(sampler.name);
  return names;
}

at::Tensor Derivative(const at::Tensor& x, const at::Tensor& sigma, const at::Tensor& denoised) {
  // Dimensions of one, not none: a schedule of float32 then widens latents of a shorter dtype here,
  // as it does in ComfyUI.
  const std::vector<std::int64_t> ones(static_cast<std::size_t>(x.dim()), 1);
  return x.sub(denoised).div(sigma.view(ones));
}

}  // namespace hearth
