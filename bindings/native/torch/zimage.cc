// hearth._torch: the parts of Z-Image. Nothing here decides; every call computes without the GIL.
#include <pybind11/functional.h>
#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "native/torch/bind.h"
#include "runtime/global_runtime.h"
#include "runtime_torch/device_kernels.h"
#include "zimage/denoiser.h"
#include "zimage/embedding_cache.h"
#include "zimage/latent_format.h"
#include "zimage/schedule.h"
#include "zimage/stepwise_velocity.h"
#include "zimage/text_encoder.h"
#include "zimage/transformer.h"
#include "zimage/vae_decoder.h"
#include "zimage/velocity_program.h"

namespace py = pybind11;

namespace hearth {
namespace {

using namespace py::literals;
using Released = py::call_guard<py::gil_scoped_release>;
// Everything is shared, because what is made of a thing keeps it.
using SharedTransformer = std::shared_ptr<Transformer>;
using SharedPrograms = std::shared_ptr<VelocityPrograms>;

// A denoiser together with the transformer that it refers to.
struct HeldDenoiser {
  SharedTransformer transformer;
  SharedPrograms programs;
  ImageDenoiser denoiser;
};

std::shared_ptr<const EngineKernels> KernelsIf(bool wanted, at::Device device) {
  return wanted ? KernelsFor(GlobalRuntime(), device) : nullptr;
}

Prompt PromptOf(const at::Tensor& positive, const std::optional<at::Tensor>& negative,
                double guidance) {
  return {positive, negative.value_or(at::Tensor()), guidance};
}

SamplingRequest RequestOf(const std::string& sampler, const at::Tensor& sigmas,
                          const at::Tensor& noise, const std::optional<at::Tensor>& start) {
  return {sampler, sigmas, noise, start.value_or(at::Tensor())};
}

at::Tensor SampleWith(const SharedTransformer& transformer, const Prompt& prompt,
                      const SamplingRequest& request, const py::object& observe) {
  const StepObserver observer = [&observe](const StepReport& step) {
    const py::gil_scoped_acquire gil;
    if (!observe.is_none()) observe(step.index, step.x, step.denoised);
  };
  const py::gil_scoped_release no_gil;
  return SampleLatents(*transformer, prompt, request, observer);
}

void BindPrompt(py::module_& module) {
  py::class_<Prompt>(module, "ZImagePrompt", "What an image is to show, as embeddings.")
      .def(py::init(&PromptOf), "positive"_a, "negative"_a = py::none(), "guidance"_a = 1.0,
           "The negative one is looked at with a guidance other than 1 only.");
  py::class_<SamplingRequest>(module, "ZImageSampling", "What one run of a sampler begins with.")
      .def(py::init(&RequestOf), "sampler"_a, "sigmas"_a, "noise"_a, "start"_a = py::none(),
           "`start`: latents in the transformer's format; None: empty ones.");
}

void BindPrograms(py::module_& module) {
  py::class_<VelocityPrograms, SharedPrograms>(
      module, "VelocityPrograms", "The steps of a transformer that are recorded by their shape.")
      .def("record_by", &VelocityPrograms::RecordBy, "recorder"_a,
           "`recorder(compute)` answers with what is called in the place of `compute`.")
      .def("__len__", &VelocityPrograms::size);
}

void BindTransformer(py::module_& module) {
  py::class_<Transformer, SharedTransformer>(module, "ZImageTransformer",
                                             "S3-DiT; may be used by any thread.")
      .def(py::init([](const CheckpointTensors& tensors, at::ScalarType compute_type,
                       at::Device device, double qk_norm_eps, bool fused) {
             TransformerOptions options{compute_type, device, qk_norm_eps};
             if (const auto kernels = KernelsIf(fused, device)) {
               options.kernels = {kernels, &kernels->transformer};
               options.products = kernels->products;
             }
             return std::make_shared<Transformer>(tensors, options);
           }),
           "tensors"_a, py::kw_only(), "compute_type"_a, "device"_a, "qk_norm_eps"_a,
           "fused"_a = false, Released(),
           "`fused`: with the kernels of its device, if any. Raises CheckpointMismatchError.")
      .def("sample", &SampleWith, "prompt"_a, "request"_a, "observe"_a = py::none(),
           "Latents in the transformer's format, float32. Calls observe(index, x, denoised).")
      .def_property_readonly("channels", &Transformer::channels)
      .def_property_readonly("caption_width", &Transformer::caption_width);
}

void BindDenoiser(py::module_& module) {
  py::class_<HeldDenoiser>(module, "ZImageDenoiser",
                           "The denoiser of one image; what no step changes is computed once.")
      .def(py::init([](const SharedTransformer& transformer, const Prompt& prompt,
                       const at::Tensor& latents, const at::Tensor& sigmas,
                       const std::optional<SharedPrograms>& programs) {
             const SharedPrograms held = programs.value_or(nullptr);
             return std::make_unique<HeldDenoiser>(
                 HeldDenoiser{transformer, held,
                              ImageDenoiser(*transformer, prompt, latents, sigmas, held.get())});
           }),
           "transformer"_a, "prompt"_a, "latents"_a, "sigmas"_a, "programs"_a = py::none(),
           Released(),
           "`latents` for their size only. `programs`: of the same transformer; then one thread at "
           "a time.")
      .def(
          "at_level",
          [](const HeldDenoiser& self, const at::Tensor& x, double value, const at::Tensor& sigma) {
            return self.denoiser(x, {value, sigma});
          },
          "x"_a, "value"_a, "sigma"_a, Released(),
          "The same without waiting for the device: `value` is what is in `sigma`.")
      .def(
          "__call__",
          [](const HeldDenoiser& self, const at::Tensor& x, const at::Tensor& sigma) {
            return self.denoiser(x, {sigma.item<double>(), sigma});
          },
          "x"_a, "sigma"_a, Released(),
          "The estimate of the clean latents. `sigma`: without dimensions.");
}

void BindVelocity(py::module_& module) {
  module.def(
      "velocity_programs",
      [](const Transformer& transformer) {
        return std::make_shared<VelocityPrograms>(transformer);
      },
      "transformer"_a, py::keep_alive<0, 1>(), "The programs of a transformer, none yet.");
  py::class_<StepwiseVelocity>(module, "ZImageStepwiseVelocity",
                               "The velocity step by step; what no step changes is computed once.")
      .def(py::init(
               [](const SharedTransformer& transformer, const std::optional<at::Tensor>& schedule) {
                 return std::make_unique<StepwiseVelocity>(transformer,
                                                           schedule.value_or(at::Tensor()));
               }),
           "transformer"_a, "schedule"_a = py::none(), Released(),
           "`schedule`: the noise levels that are to come.")
      .def("__call__", &StepwiseVelocity::operator(), "x"_a, "level"_a, "embedding"_a, Released(),
           "float32. `level`: of one element. One thread at a time; the embedding is kept.");
}

py::dict StatsDict(const EmbeddingCache& self) {
  const EmbeddingCacheStats stats = self.stats();
  return py::dict("entries"_a = stats.entries, "hits"_a = stats.hits, "misses"_a = stats.misses);
}

void BindTextEncoder(py::module_& module) {
  py::class_<TextEncoder, std::shared_ptr<TextEncoder>>(module, "ZImageTextEncoder",
                                                        "Qwen3 as Z-Image uses it.")
      .def(py::init([](const CheckpointTensors& tensors, at::ScalarType compute_type,
                       at::Device device) {
             return std::make_shared<TextEncoder>(tensors,
                                                  TextEncoderOptions{compute_type, device});
           }),
           "tensors"_a, py::kw_only(), "compute_type"_a, "device"_a, Released(),
           "Raises CheckpointMismatchError.")
      .def("encode", &TextEncoder::Encode, "tokens"_a, Released(),
           "batch x tokens of int64 to batch x tokens x width of float32.")
      .def_property_readonly("width", &TextEncoder::width)
      .def_property_readonly("identity", &TextEncoder::identity);
  py::class_<EmbeddingCache>(module, "EmbeddingCache", "The embeddings of the last prompts.")
      .def(py::init<std::size_t>(), "max_entries"_a)
      .def("encode", &EmbeddingCache::Encode, "encoder"_a, "tokens"_a, Released(),
           "1 x tokens x width; not to be written to.")
      .def_property_readonly("stats", &StatsDict);
}

void BindVae(py::module_& module) {
  py::class_<VaeDecoder, std::shared_ptr<VaeDecoder>>(module, "ZImageVaeDecoder",
                                                      "The decoder of Flux's autoencoder.")
      .def(py::init([](const CheckpointTensors& tensors, at::ScalarType compute_type,
                       at::Device device, bool fused) {
             VaeOptions options{compute_type, device};
             if (const auto kernels = KernelsIf(fused, device)) {
               options.kernels = {kernels, &kernels->vae};
             }
             return std::make_shared<VaeDecoder>(tensors, options);
           }),
           "tensors"_a, py::kw_only(), "compute_type"_a, "device"_a, "fused"_a = false, Released(),
           "`fused`: with the kernels of its device, if any. Raises CheckpointMismatchError.")
      .def("decode", &VaeDecoder::Decode, "latents"_a, Released(),
           "Latents as zimage_for_vae gives them, to batch x 3 x height x width, -1 to 1.")
      .def_property_readonly("channels", &VaeDecoder::channels)
      .def_property_readonly("scale", &VaeDecoder::scale);
}

void BindFormats(py::module_& module) {
  module.def("zimage_levels", &FlowLevels, "shift"_a, "The 1000 noise levels, lowest first.");
  module.def("zimage_simple_sigmas", &SimpleSigmas, "shift"_a, "steps"_a, "denoise"_a = 1.0,
             "ComfyUI's schedule `simple`.");
  module.def(
      "zimage_noise",
      [](const std::vector<std::int64_t>& shape, std::uint64_t seed) {
        return SeededNoise(shape, seed);
      },
      "shape"_a, "seed"_a, Released(), "The noise of ComfyUI's samplers for this seed.");
  module.def("zimage_for_vae", &ForVae, "latents"_a, "From the transformer's format.");
  module.def("zimage_for_transformer", &ForTransformer, "latents"_a, "From the VAE's format.");
  module.def("zimage_as_image", &AsImage, "decoded"_a, "batch x height x width x 3, 0 to 1.");
  module.def("zimage_as_bytes", &AsBytes, "image"_a, "uint8, cut off and not rounded.");
}

}  // namespace

void BindZImage(py::module_& module) {
  BindPrompt(module);
  BindPrograms(module);
  BindTransformer(module);
  BindDenoiser(module);
  BindVelocity(module);
  BindTextEncoder(module);
  BindVae(module);
  BindFormats(module);
}

}  // namespace hearth
