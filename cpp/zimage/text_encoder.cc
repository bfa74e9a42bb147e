#include "zimage/text_encoder.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/embedding.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "base/error.h"

namespace hearth {
namespace {

constexpr double kTheta = 1e6;
// Qwen3-4B: a file of this width with fewer layers is not whole. Other widths are toys.
constexpr std::int64_t kWidth = 2560;
constexpr std::int64_t kLayers = 36;
constexpr std::int64_t kLengths = 64;

WeightScope ScopeOf(const CheckpointTensors& tensors, const TextEncoderOptions& options) {
  return WeightScope(tensors, "Z-Image's text encoder (Qwen3-4B)",
                     {options.device, options.compute_type})
      .UnderFirst({"model.", "", "text_encoders.qwen3_4b.transformer.model.",
                   "qwen3_4b.transformer.model."},
                  "embed_tokens.weight");
}

std::int64_t CountLayers(const WeightScope& scope, std::int64_t width) {
  if (width == kWidth) return kLayers;
  return std::max<std::int64_t>(scope.Count("layers."), 2);
}

std::string IdentityOf(const CheckpointTensors& tensors, const TextEncoderOptions& options) {
  return tensors.identity() + " " + at::toString(options.compute_type) + " " +
         options.device.str() + (options.kernels ? " fused" : "");
}

}  // namespace

TextEncoder::TextEncoder(const CheckpointTensors& tensors, const TextEncoderOptions& options)
    : TextEncoder(ScopeOf(tensors, options), options, IdentityOf(tensors, options)) {}

TextEncoder::TextEncoder(const WeightScope& scope, const TextEncoderOptions& options,
                         std::string identity)
    : options_(options),
      identity_(std::move(identity)),
      steps_(options.kernels),
      embedding_(scope.Get("embed_tokens.weight", {kAnySize, kAnySize})) {
  scope.RequireUnquantised();
  const std::int64_t used = CountLayers(scope, width()) - 1;
  for (std::int64_t i = 0; i < used; ++i) {
    layers_.emplace_back(scope.Under("layers." + std::to_string(i) + "."), width(), steps_);
  }
}

// With kernels to one of few lengths: the libraries below prepare for each length that is new to
// them, some 40 ms. Nobody looks at what is behind him, so it changes nothing.
at::Tensor TextEncoder::Padded(const at::Tensor& tokens) const {
  const std::int64_t more = (kLengths - tokens.size(1) % kLengths) % kLengths;
  return options_.kernels && more > 0 ? at::constant_pad_nd(tokens, {0, more}) : tokens;
}

at::Tensor TextEncoder::Encode(const at::Tensor& tokens) const {
  const c10::NoGradGuard no_grad;
  if (tokens.dim() != 2 || tokens.numel() == 0) {
    throw Error("A text encoder needs a row of tokens for each prompt, and got none.");
  }
  const auto first = tokens.min().item<std::int64_t>();
  const auto last = tokens.max().item<std::int64_t>();
  if (last >= embedding_.size(0) || first < 0) {
    throw Error("Token " + std::to_string(first < 0 ? first : last) + " is not among the " +
                std::to_string(embedding_.size(0)) +
                " that the text encoder knows: the tokenizer is another model's.");
  }
  const at::Tensor ids = Padded(tokens).to(options_.device);
  const at::Tensor x = at::embedding(embedding_, ids).to(options_.compute_type);
  const RopeTable rope =
      SequenceRope(ids.size(1), layers_.front().head_width(), kTheta, options_.device);
  FusedSteps::Sum sum{x, steps_.Enter(x, layers_.front().entry())};
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    std::optional<FusedSteps::Entry> next;
    if (i + 1 < layers_.size()) next.emplace(layers_[i + 1].entry());
    sum = layers_[i](sum, rope, next ? &*next : nullptr);
  }
  return sum.stream.narrow(1, 0, tokens.size(1)).to(at::kFloat);
}

}  // namespace hearth
