#include "zimage/transformer.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/pad.h>
#include <ATen/ops/silu.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "zimage/positions.h"

namespace hearth {
namespace {

constexpr double kCaptionNormEps = 1e-5;
constexpr double kFinalNormEps = 1e-6;
constexpr std::int64_t kPatch = 2;
constexpr char kWanted[] = "a Z-Image transformer";

WeightScope ScopeOf(const CheckpointTensors& tensors, const TransformerOptions& options) {
  if (options.compute_type != at::kBFloat16 && options.compute_type != at::kFloat) {
    throw Error("Z-Image can be computed in bfloat16 and float32, not in " +
                std::string(at::toString(options.compute_type)) +
                ": its attention overflows shorter exponents.");
  }
  return WeightScope(tensors, kWanted, {options.device, options.compute_type})
      .UnderFirst({"", "model.diffusion_model.", "diffusion_model."}, "cap_embedder.0.weight");
}

// diffusers names these by patch size and frames, "2-1".
WeightScope Renamed(const WeightScope& scope, const std::string& name) {
  return scope.UnderFirst({name + ".", "all_" + name + ".2-1."}, "linear.weight");
}

WeightScope PatchIn(const WeightScope& scope) {
  return scope.UnderFirst({"x_embedder.", "all_x_embedder.2-1."}, "weight");
}

// What makes it another model than the one this file computes.
void RequirePlain(const WeightScope& scope) {
  for (const char* const other : {"siglip_embedder.0.weight", "dec_net.cond_embed.weight"}) {
    if (scope.Has(other)) {
      scope.Refuse(other, "it has \"" + std::string(other) + "\" and is a variant of Z-Image");
    }
  }
  scope.RequireUnquantised();
}

// Z-Image's own: a file of this width with fewer blocks is not whole. Other widths are toys.
constexpr std::int64_t kWidth = 3840;
constexpr std::int64_t kLayers = 30;
constexpr std::int64_t kRefiners = 2;

std::int64_t CountBlocks(const WeightScope& scope, const std::string& name, std::int64_t width) {
  if (width == kWidth) return name == "layers" ? kLayers : kRefiners;
  return std::max<std::int64_t>(scope.Count(name + "."), 1);
}

template <typename Block, typename... More>
std::vector<Block> ReadBlocks(const WeightScope& scope, const std::string& name,
                              const BlockOptions& options, const More&... more) {
  std::vector<Block> blocks;
  const std::int64_t count = CountBlocks(scope, name, options.width);
  for (std::int64_t i = 0; i < count; ++i) {
    blocks.emplace_back(scope.Under(name + "." + std::to_string(i) + "."), options, more...);
  }
  return blocks;
}

std::vector<GateRows> GatesOf(const std::vector<ModulatedBlock>& blocks, const at::Tensor& time) {
  std::vector<GateRows> gates;
  for (const ModulatedBlock& block : blocks) gates.push_back(block.GatesAt(time));
  return gates;
}

std::vector<BlockGates> GatesAt(const std::vector<GateRows>& rows, std::int64_t level) {
  std::vector<BlockGates> gates;
  for (const GateRows& row : rows) gates.push_back(row.at(level));
  return gates;
}

}  // namespace

Transformer::Transformer(const CheckpointTensors& tensors, const TransformerOptions& options)
    : Transformer(ScopeOf(tensors, options), options) {}

Transformer::Transformer(const WeightScope& scope, const TransformerOptions& options)
    : options_(options),
      steps_(options.kernels, std::make_shared<const MatrixProducts>(options.products)),
      patch_in_(PatchIn(scope), kAnySize, kAnySize, true),
      patch_out_(Renamed(scope, "final_layer").Under("linear."), patch_in_.columns(),
                 patch_in_.rows(), true),
      time_(scope.Under("t_embedder.")),
      caption_norm_(scope.Under("cap_embedder.0."), kAnySize, kCaptionNormEps),
      caption_in_(scope.Under("cap_embedder.1."), patch_in_.rows(), caption_norm_.width(), true),
      final_modulation_(Renamed(scope, "final_layer").Under("adaLN_modulation.1."),
                        patch_in_.rows(), time_.width(), true),
      caption_pad_(scope.Get("cap_pad_token", {1, patch_in_.rows()})),
      image_pad_(scope.Get("x_pad_token", {1, patch_in_.rows()})),
      head_width_(HeadWidthOf(scope.Under("layers.0.attention."))) {
  RequirePlain(scope);
  const std::int64_t width = patch_in_.rows();
  if (head_width_ % 16 != 0 || width % head_width_ != 0) {
    scope.Refuse("layers.0.attention.q_norm.weight",
                 "heads of " + std::to_string(head_width_) + " do not fit its positions");
  }
  const BlockOptions blocks{width, options.qk_norm_eps, steps_};
  noise_refiner_ = ReadBlocks<ModulatedBlock>(scope, "noise_refiner", blocks, time_.width());
  context_refiner_ = ReadBlocks<TransformerBlock>(scope, "context_refiner", blocks);
  const BlockOptions main{width, options.qk_norm_eps, steps_.WithShortProducts(options.quantiser)};
  layers_ = ReadBlocks<ModulatedBlock>(scope, "layers", main, time_.width());
}

at::Tensor Transformer::Padded(const at::Tensor& tokens, const at::Tensor& token) const {
  const std::int64_t padding = RoundedUp(tokens.size(1)) - tokens.size(1);
  if (padding == 0) return tokens;
  return at::cat({tokens, token.to(tokens.scalar_type()).expand({tokens.size(0), padding, -1})}, 1);
}

PreparedCaption Transformer::PrepareCaption(const at::Tensor& embedding) const {
  const c10::NoGradGuard no_grad;
  if (embedding.dim() != 3 || embedding.size(1) == 0 || embedding.size(2) != caption_width()) {
    throw Error("Z-Image needs a text embedding of batch x tokens x " +
                std::to_string(caption_width()) + ". Is the text encoder Qwen3-4B?");
  }
  const at::Tensor words = embedding.to(options_.device, options_.compute_type);
  const at::Tensor tokens = Padded(caption_in_(caption_norm_(words)), caption_pad_);
  const RopeTable rope = CaptionRope(tokens.size(1), head_width_, options_.device);
  return {Refined(tokens, rope), rope};
}

PreparedImage Transformer::PrepareImage(const PreparedCaption& caption, std::int64_t height,
                                        std::int64_t width) const {
  const c10::NoGradGuard no_grad;
  const ImagePlace place{caption.tokens.size(1), (height + 1) / kPatch, (width + 1) / kPatch};
  RopeTable rope = ImageRope(place, head_width_, options_.device);
  RopeTable joint = Joined(caption.rope, rope);
  return {height, width, std::move(rope), std::move(joint)};
}

PreparedLevels Transformer::PrepareLevels(const at::Tensor& sigmas) const {
  const c10::NoGradGuard no_grad;
  const at::Tensor time = time_(sigmas.to(options_.device), options_.compute_type);
  return {GatesOf(noise_refiner_, time), GatesOf(layers_, time),
          final_modulation_(at::silu(time)).add(1)};
}

at::Tensor Transformer::Refined(const at::Tensor& tokens, const RopeTable& rope) const {
  FusedSteps::Sum sum{tokens, steps_.Enter(tokens, context_refiner_.front().entry())};
  for (std::size_t i = 0; i < context_refiner_.size(); ++i) {
    std::optional<FusedSteps::Entry> next;
    if (i + 1 < context_refiner_.size()) next.emplace(context_refiner_[i + 1].entry());
    sum = context_refiner_[i](sum, rope, next ? &*next : nullptr);
  }
  return sum.stream;
}

at::Tensor Transformer::Through(const std::vector<ModulatedBlock>& blocks, const at::Tensor& x,
                                const RopeTable& rope, const std::vector<BlockGates>& gates) const {
  FusedSteps::Sum sum{x, steps_.Enter(x, blocks.front().entry(gates.front()))};
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    std::optional<FusedSteps::Entry> next;
    if (i + 1 < blocks.size()) next.emplace(blocks[i + 1].entry(gates[i + 1]));
    sum = blocks[i](sum, rope, gates[i], next ? &*next : nullptr);
  }
  return sum.stream;
}

// batch x patches x (4 channels): a patch's elements by row, column, then channel. An odd size is
// filled up from the other side of the image.
at::Tensor Transformer::Patches(const at::Tensor& latents) const {
  const std::int64_t bottom = latents.size(2) % kPatch;
  const std::int64_t right = latents.size(3) % kPatch;
  at::Tensor even = latents;
  if (bottom + right > 0) even = at::pad(latents, {0, right, 0, bottom}, "circular");
  return even.unflatten(3, {-1, kPatch})
      .unflatten(2, {-1, kPatch})
      .permute({0, 2, 4, 3, 5, 1})
      .flatten(3)
      .flatten(1, 2);
}

at::Tensor Transformer::Image(const at::Tensor& patches, const PreparedImage& image) const {
  const std::int64_t columns = (image.width + 1) / kPatch;
  return patches.unflatten(1, {-1, columns})
      .unflatten(3, {kPatch, kPatch, -1})
      .permute({0, 5, 1, 3, 2, 4})
      .flatten(4)
      .flatten(2, 3)
      .narrow(2, 0, image.height)
      .narrow(3, 0, image.width);
}

at::Tensor Transformer::Velocity(const at::Tensor& latents, const PreparedCaption& caption,
                                 const PreparedImage& image, const PreparedLevels& levels,
                                 std::int64_t level) const {
  const c10::NoGradGuard no_grad;
  const at::Tensor patches = Patches(latents.to(options_.device, options_.compute_type));
  at::Tensor x = Padded(patch_in_(patches), image_pad_);
  x = Through(noise_refiner_, x, image.rope, GatesAt(levels.refiner, level));
  const std::int64_t words = caption.tokens.size(1);
  x = at::cat({caption.tokens.expand({x.size(0), -1, -1}), x}, 1);
  x = Through(layers_, x, image.joint_rope, GatesAt(levels.layers, level));
  // The last layers work on each token by itself: those of the caption and the padding can go.
  x = x.narrow(1, words, patches.size(1));
  x = at::layer_norm(x, {x.size(2)}, {}, {}, kFinalNormEps);
  x = patch_out_(x.mul(levels.final_scale.select(0, level)));
  return Image(x, image).neg().to(at::kFloat);
}

}  // namespace hearth
