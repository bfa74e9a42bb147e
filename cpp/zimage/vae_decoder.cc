#include "zimage/vae_decoder.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"

namespace hearth {
namespace {

// Flux's own: a file of this width with less is not whole. Other widths are toys.
constexpr std::int64_t kWidth = 512;
constexpr std::int64_t kLevels = 4;
constexpr std::int64_t kBlocks = 3;

std::int64_t CountOf(const WeightScope& scope, const std::string& stem, std::int64_t width,
                     std::int64_t of_true_size) {
  if (width == kWidth) return of_true_size;
  return std::max<std::int64_t>(scope.Count(stem), 1);
}

// By layout: the original names first.
const char* Name(VaeLayout layout, const char* original, const char* diffusers) {
  return layout == VaeLayout::kOriginal ? original : diffusers;
}

}  // namespace

VaeDecoder::Source VaeDecoder::SourceOf(const CheckpointTensors& tensors,
                                        const VaeOptions& options) {
  const WeightScope scope =
      WeightScope(tensors, "Z-Image's VAE (Flux's autoencoder)",
                  {options.device, options.compute_type})
          .UnderFirst({"", "vae.", "first_stage_model."}, "decoder.conv_in.weight");
  if (scope.Has("post_quant_conv.weight")) {
    scope.Refuse("post_quant_conv.weight",
                 "it has \"post_quant_conv.weight\", as other models' VAEs do");
  }
  scope.RequireUnquantised();
  const bool diffusers = scope.Has("decoder.mid_block.resnets.0.conv1.weight");
  const VaeLayout layout = diffusers ? VaeLayout::kDiffusers : VaeLayout::kOriginal;
  return {scope.Under("decoder."), {layout, ImageSteps(options.kernels)}};
}

VaeDecoder::VaeDecoder(const CheckpointTensors& tensors, const VaeOptions& options)
    : VaeDecoder(SourceOf(tensors, options), options) {}

VaeDecoder::VaeDecoder(const Source& source, const VaeOptions& options)
    : options_(options),
      steps_(source.style.steps),
      in_(source.decoder.Under("conv_in."), steps_, {kAnySize, kAnySize, 3}),
      middle_first_(
          source.decoder.Under(Name(source.style.layout, "mid.block_1.", "mid_block.resnets.0.")),
          source.style, in_.rows()),
      middle_attention_(
          source.decoder.Under(Name(source.style.layout, "mid.attn_1.", "mid_block.attentions.0.")),
          source.style, in_.rows()),
      middle_second_(
          source.decoder.Under(Name(source.style.layout, "mid.block_2.", "mid_block.resnets.1.")),
          source.style, in_.rows()),
      level_count_(CountOf(source.decoder, Name(source.style.layout, "up.", "up_blocks."),
                           in_.rows(), kLevels)) {
  std::int64_t width = in_.rows();
  for (std::int64_t i = 0; i < level_count_; ++i) {
    levels_.push_back(ReadLevel(source, i, width));
    width = levels_.back().blocks.back().width();
  }
  out_norm_.emplace(source.decoder.Under(Name(source.style.layout, "norm_out.", "conv_norm_out.")),
                    steps_, width);
  out_.emplace(source.decoder.Under("conv_out."), steps_, Convolution::Shape{3, width, 3});
}

VaeDecoder::Level VaeDecoder::ReadLevel(const Source& source, std::int64_t index,
                                        std::int64_t width) const {
  // The original counts from the largest image, and runs them from the last to the first.
  const std::int64_t place =
      source.style.layout == VaeLayout::kOriginal ? level_count_ - 1 - index : index;
  const WeightScope scope = source.decoder.Under(Name(source.style.layout, "up.", "up_blocks.") +
                                                 std::to_string(place) + ".");
  const std::string stem = Name(source.style.layout, "block.", "resnets.");
  Level level;
  const std::int64_t blocks = CountOf(scope, stem, in_.rows(), kBlocks);
  for (std::int64_t i = 0; i < blocks; ++i) {
    level.blocks.emplace_back(scope.Under(stem + std::to_string(i) + "."), source.style, width);
    width = level.blocks.back().width();
  }
  if (index + 1 < level_count_) {
    level.upsample.emplace(
        scope.Under(Name(source.style.layout, "upsample.conv.", "upsamplers.0.conv.")), steps_,
        Convolution::Shape{width, width, 3});
  }
  return level;
}

at::Tensor VaeDecoder::Decode(const at::Tensor& latents) const {
  const c10::NoGradGuard no_grad;
  if (latents.dim() != 4 || latents.size(1) != channels()) {
    throw Error("This VAE decodes latents of batch x " + std::to_string(channels()) +
                " x height x width; were these made for another model?");
  }
  at::Tensor x = latents.to(options_.device, options_.compute_type);
  if (options_.kernels) x = x.contiguous(at::MemoryFormat::ChannelsLast);
  x = in_(x);
  x = middle_second_(middle_attention_(middle_first_(x)));
  for (const Level& level : levels_) {
    for (const ResidualBlock& block : level.blocks) x = block(x);
    if (!level.upsample) continue;
    x = (*level.upsample)(steps_.Doubled(x));
  }
  return (*out_)(out_norm_->WithSilu({x, {}})).to(at::kFloat);
}

}  // namespace hearth
