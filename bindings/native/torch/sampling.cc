// hearth._torch.Sampler. The denoiser and the observer are Python's: they are called with the GIL,
// and what they throw (an interrupt is no Exception) comes back to the caller as it was thrown.
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/pybind.h>

#include <limits>
#include <string>

#include "native/torch/bind.h"
#include "sampling/sampler.h"

namespace py = pybind11;

namespace hearth {
namespace {

at::Tensor AsTensor(const py::object& answer) {
  if (THPVariable_Check(answer.ptr())) return answer.cast<at::Tensor>();
  throw py::type_error("a denoiser answers with a tensor, not with " +
                       std::string(py::str(py::type::of(answer).attr("__name__"))));
}

at::Tensor Sample(const Sampler& sampler, const at::Tensor& x, const at::Tensor& sigmas,
                  const py::function& denoise, const py::function& observe) {
  const Denoiser denoiser = [&denoise](const at::Tensor& latents, const NoiseLevel& sigma) {
    const py::gil_scoped_acquire gil;
    return AsTensor(denoise(latents, sigma.tensor));
  };
  const StepObserver observer = [&observe](const StepReport& step) {
    const py::gil_scoped_acquire gil;
    observe(step.index, step.x, step.sigma.tensor, step.sigma_hat.tensor, step.denoised);
  };
  const py::gil_scoped_release no_gil;
  return sampler.Sample(x, sigmas, denoiser, observer);
}

}  // namespace

void BindSampling(py::module_& module) {
  const double infinity = std::numeric_limits<double>::infinity();
  py::class_<Sampler>(module, "Sampler", "A sampler by ComfyUI's name; may be used by any thread.")
      .def(py::init(
               [](const std::string& name, double s_churn, double s_tmin, double s_tmax,
                  double s_noise) { return Sampler(name, {s_churn, s_tmin, s_tmax, s_noise}); }),
           py::arg("name"), py::kw_only(), py::arg("s_churn") = 0.0, py::arg("s_tmin") = 0.0,
           py::arg("s_tmax") = infinity, py::arg("s_noise") = 1.0,
           "Raises HearthError, with the nearest name, for a sampler that hearth does not have.")
      .def("sample", &Sample, py::arg("x"), py::arg("sigmas"), py::arg("denoise"),
           py::arg("observe"),
           "The latents after the last step. Calls denoise(x, sigma) and, when it has answered,\n"
           "observe(index, x, sigma, sigma_hat, denoised); sigmas are tensors without dimensions.")
      .def_static("names", &Sampler::Names, "Every name there is.");
}

}  // namespace hearth
