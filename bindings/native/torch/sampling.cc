// hearth._torch.Sampler. Denoiser, observer and noise are Python's: they are called with the GIL,
// and what they throw (an interrupt is no Exception) comes back to the caller as it was thrown.
#include <pybind11/stl.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/pybind.h>

#include <string>
#include <utility>

#include "native/torch/bind.h"
#include "sampling/sampler.h"

namespace py = pybind11;

namespace hearth {
namespace {

at::Tensor AsTensor(const py::object& answer, const char* who) {
  if (THPVariable_Check(answer.ptr())) return answer.cast<at::Tensor>();
  throw py::type_error(std::string(who) + " answers with a tensor, not with " +
                       std::string(py::str(py::type::of(answer).attr("__name__"))));
}

// Whom a run asks, in Python; noise and renoise may be None.
struct PythonCalls {
  py::function denoise;
  py::function observe;
  py::object noise;
  py::object renoise;
};

NoiseSource NoiseOf(const PythonCalls& calls) {
  if (calls.noise.is_none()) return nullptr;
  return [&calls](const NoiseLevel& from, const NoiseLevel& to) {
    const py::gil_scoped_acquire gil;
    return AsTensor(
        calls.noise(std::make_pair(from.value, from.tensor), std::make_pair(to.value, to.tensor)),
        "a source of noise");
  };
}

Renoiser RenoiserOf(const PythonCalls& calls) {
  if (calls.renoise.is_none()) return nullptr;
  return [&calls](const NoiseLevel& sigma, const at::Tensor& noise, const at::Tensor& clean) {
    const py::gil_scoped_acquire gil;
    return AsTensor(calls.renoise(sigma.tensor, noise, clean), "what makes latents noisy again");
  };
}

at::Tensor Sample(const Sampler& sampler, const at::Tensor& x, const at::Tensor& sigmas,
                  const PythonCalls& calls) {
  const Denoiser denoise = [&calls](const at::Tensor& latents, const NoiseLevel& sigma) {
    const py::gil_scoped_acquire gil;
    return AsTensor(calls.denoise(latents, std::make_pair(sigma.value, sigma.tensor)),
                    "a denoiser");
  };
  const StepObserver observe = [&calls](const StepReport& step) {
    const py::gil_scoped_acquire gil;
    calls.observe(step.index, step.x, step.sigma.tensor, step.sigma_hat.tensor, step.denoised);
  };
  const SamplerCalls native{denoise, observe, NoiseOf(calls), RenoiserOf(calls)};
  const py::gil_scoped_release no_gil;
  return sampler.Sample(x, sigmas, native);
}

void BindOptions(py::module_& module) {
  py::class_<SamplerOptions>(module, "SamplerOptions",
                             "ComfyUI's options with its defaults; a sampler reads those it has.")
      .def(py::init<>())
      .def_property(
          "flow", [](const SamplerOptions& self) { return self.path == NoisePath::kFlow; },
          [](SamplerOptions& self, bool flow) {
            self.path = flow ? NoisePath::kFlow : NoisePath::kEps;
          })
      .def_readwrite("first_flow_level", &SamplerOptions::first_flow_level)
      .def_readwrite("s_churn", &SamplerOptions::s_churn)
      .def_readwrite("s_tmin", &SamplerOptions::s_tmin)
      .def_readwrite("s_tmax", &SamplerOptions::s_tmax)
      .def_readwrite("s_noise", &SamplerOptions::s_noise)
      .def_readwrite("s_noise_end", &SamplerOptions::s_noise_end)
      .def_readwrite("noise_clip_std", &SamplerOptions::noise_clip_std)
      .def_readwrite("eta", &SamplerOptions::eta)
      .def_readwrite("r", &SamplerOptions::r)
      .def_readwrite("solver_type", &SamplerOptions::solver_type)
      .def_readwrite("max_order", &SamplerOptions::max_order)
      .def_readwrite("deis_mode", &SamplerOptions::deis_mode);
}

}  // namespace

void BindSampling(py::module_& module) {
  BindOptions(module);
  py::class_<PythonCalls>(module, "SamplerCalls", "Whom a run of a sampler asks.")
      .def(py::init([](py::function denoise, py::function observe, py::object noise,
                       py::object renoise) {
             return PythonCalls{std::move(denoise), std::move(observe), std::move(noise),
                                std::move(renoise)};
           }),
           py::arg("denoise"), py::arg("observe"), py::arg("noise") = py::none(),
           py::arg("renoise") = py::none(),
           "denoise(x, sigma) and, when it has answered, observe(index, x, sigma, sigma_hat,\n"
           "denoised); noise((value, sigma), (value, next_sigma)); renoise(sigma, noise, clean).\n"
           "Sigmas are tensors without dimensions, values the same as numbers.");
  py::class_<Sampler>(module, "Sampler", "A sampler by ComfyUI's name; may be used by any thread.")
      .def(py::init<const std::string&, SamplerOptions>(), py::arg("name"), py::arg("options"),
           "Raises HearthError, with the nearest name, for a sampler that hearth does not have,\n"
           "and for an option that has no such value.")
      .def("sample", &Sample, py::arg("x"), py::arg("sigmas"), py::arg("calls"),
           "The latents after the last step.")
      .def_static("names", &Sampler::Names, "Every name there is.");
}

}  // namespace hearth
