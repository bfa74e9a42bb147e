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
  bool draws_noise;
};

constexpr std::array<NamedSampler, 17> kSamplers{{
    {"euler", &SampleEuler, false},
    {"euler_ancestral", &SampleEulerAncestral, true},
    {"heun", &SampleHeun, false},
    {"heunpp2", &SampleHeunpp2, false},
    {"dpm_2", &SampleDpm2, false},
    {"dpmpp_2s_ancestral", &SampleDpmpp2sAncestral, true},
    {"dpmpp_sde", &SampleDpmppSde, true},
    {"dpmpp_2m", &SampleDpmpp2m, false},
    {"dpmpp_2m_sde", &SampleDpmpp2mSde, true},
    {"dpmpp_3m_sde", &SampleDpmpp3mSde, true},
    {"lcm", &SampleLcm, true},
    {"ipndm", &SampleIpndm, false},
    {"deis", &SampleDeis, false},
    {"res_multistep", &SampleResMultistep, false},
    // ComfyUI's ddim is its euler; what differs there is the noise around a mask.
    {"ddim", &SampleEuler, false},
    {"uni_pc", &SampleUniPc, false},
    {"uni_pc_bh2", &SampleUniPcBh2, false},
}};

const NamedSampler& FindSampler(const std::string& name) {
  for (const NamedSampler& sampler : kSamplers) {
    if (sampler.name == name) return sampler;
  }
  const std::vector<std::string> names = Sampler::Names();
  const std::string nearest = NearestWord(name, names);
  std::string list;
  for (const std::string& known : names) list += (list.empty() ? "" : ", ") + known;
  throw Error("hearth has no sampler \"" + name + "\"" +
              (nearest.empty() ? "." : "; did you mean \"" + nearest + "\"?") + " It has: " + list +
              ".");
}

void Check(const SamplerOptions& options) {
  if (options.solver_type != "midpoint" && options.solver_type != "heun") {
    throw Error("solver_type is \"midpoint\" or \"heun\", not \"" + options.solver_type + "\".");
  }
  if (options.max_order < 1 || options.max_order > 4) {
    throw Error("max_order is 1 to 4, not " + std::to_string(options.max_order) + ".");
  }
  if (options.deis_mode != "tab") {
    throw Error("hearth's deis has the mode \"tab\", not \"" + options.deis_mode + "\".");
  }
}

}  // namespace

Sampler::Sampler(const std::string& name, SamplerOptions options)
    : name_(name),
      function_(FindSampler(name).function),
      draws_noise_(FindSampler(name).draws_noise),
      options_(std::move(options)) {
  Check(options_);
}

at::Tensor Sampler::Sample(const at::Tensor& x, const at::Tensor& sigmas,
                           const SamplerCalls& calls) const {
  if (draws_noise_ && !calls.noise) {
    throw Error("The sampler " + name_ +
                " draws noise at each step, and has nothing to draw from.");
  }
  const c10::NoGradGuard no_grad;
  const Sigmas schedule(sigmas);
  if (schedule.steps() == 0) return x;
  return function_(x,
                   {schedule, options_, calls.denoise, calls.observe, calls.noise, calls.renoise});
}

std::vector<std::string> Sampler::Names() {
  std::vector<std::string> names;
  for (const NamedSampler& sampler : kSamplers) names.emplace_back(sampler.name);
  return names;
}

}  // namespace hearth
