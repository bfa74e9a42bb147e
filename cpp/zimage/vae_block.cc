#include "zimage/vae_block.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <vector>

namespace hearth {
namespace {

at::Tensor ReadKernel(const WeightScope& scope, const Convolution::Shape& shape) {
  if (shape.size == 1 && scope.Rank("weight") == 2) {
    return scope.Get("weight", {shape.rows, shape.columns}).unflatten(1, {-1, 1, 1});
  }
  return scope.Get("weight", {shape.rows, shape.columns, shape.size, shape.size});
}

std::optional<Convolution> ReadShortcut(const WeightScope& scope, const VaeStyle& style,
                                        std::int64_t rows, std::int64_t columns) {
  if (rows == columns) return std::nullopt;
  const bool is_original = style.layout == VaeLayout::kOriginal;
  return Convolution(scope.Under(is_original ? "nin_shortcut." : "conv_shortcut."), style.steps,
                     {rows, columns, 1});
}

// Of a part of the attention.
Convolution ReadPart(const WeightScope& scope, const VaeStyle& style, std::int64_t width,
                     const char* original, const char* diffusers) {
  const bool is_original = style.layout == VaeLayout::kOriginal;
  return Convolution(scope.Under(is_original ? original : diffusers), style.steps,
                     {width, width, 1});
}

}  // namespace

Convolution::Convolution(const WeightScope& scope, const ImageSteps& steps, const Shape& shape)
    : steps_(steps),
      weight_(ReadKernel(scope, shape)),
      bias_(scope.Get("bias", {weight_.size(0)})) {
  if (steps_.has_kernels()) weight_ = weight_.contiguous(at::MemoryFormat::ChannelsLast);
}

Unbiased Convolution::Open(const at::Tensor& x) const {
  const std::int64_t padding = weight_.size(2) / 2;
  const at::Tensor weight = weight_.to(x.scalar_type());
  if (steps_.Defers(x, bias_)) return {at::conv2d(x, weight, {}, 1, padding), bias_};
  return {at::conv2d(x, weight, bias_.to(x.scalar_type()), 1, padding), {}};
}

at::Tensor Convolution::OfPixels(const at::Tensor& pixels) const {
  const at::ScalarType type = pixels.scalar_type();
  return at::addmm(bias_.to(type), pixels, weight_.to(type).flatten(1).t());
}

Unbiased Convolution::OpenOfPixels(const at::Tensor& pixels) const {
  const at::ScalarType type = pixels.scalar_type();
  return {at::mm(pixels, weight_.to(type).flatten(1).t()), bias_.to(type)};
}

GroupNorm::GroupNorm(const WeightScope& scope, const ImageSteps& steps, std::int64_t width)
    : steps_(steps), weight_(scope.Get("weight", {width})), bias_(scope.Get("bias", {width})) {}

ResidualBlock::ResidualBlock(const WeightScope& scope, const VaeStyle& style, std::int64_t width)
    : steps_(style.steps),
      first_norm_(scope.Under("norm1."), steps_, width),
      first_(scope.Under("conv1."), steps_, {kAnySize, width, 3}),
      second_norm_(scope.Under("norm2."), steps_, first_.rows()),
      second_(scope.Under("conv2."), steps_, {first_.rows(), first_.rows(), 3}),
      shortcut_(ReadShortcut(scope, style, first_.rows(), width)) {}

at::Tensor ResidualBlock::operator()(const at::Tensor& x) const {
  const Unbiased widened = first_.Open(first_norm_.WithSilu({x, {}}));
  const Unbiased change = second_.Open(second_norm_.WithSilu(widened));
  return steps_.Sum(shortcut_ ? shortcut_->Open(x) : Unbiased{x, {}}, change);
}

VaeAttention::VaeAttention(const WeightScope& scope, const VaeStyle& style, std::int64_t width)
    : steps_(style.steps),
      norm_(scope.Under(style.layout == VaeLayout::kOriginal ? "norm." : "group_norm."), steps_,
            width),
      query_(ReadPart(scope, style, width, "q.", "to_q.")),
      key_(ReadPart(scope, style, width, "k.", "to_k.")),
      value_(ReadPart(scope, style, width, "v.", "to_v.")),
      out_(ReadPart(scope, style, width, "proj_out.", "to_out.0.")) {}

at::Tensor VaeAttention::operator()(const at::Tensor& x) const {
  const at::Tensor normed = norm_(x);
  return steps_.Sum({x, {}},
                    steps_.TakesAttention(normed) ? ChangeByProducts(normed) : Change(normed));
}

Unbiased VaeAttention::Change(const at::Tensor& normed) const {
  // batch x 1 head x pixels x width
  const auto pixels = [&normed](const Convolution& part) {
    return part(normed).flatten(2).transpose(1, 2).unsqueeze(1);
  };
  const at::Tensor attended =
      at::scaled_dot_product_attention(pixels(query_), pixels(key_), pixels(value_));
  return out_.Open(attended.squeeze(1).transpose(1, 2).reshape(normed.sizes()));
}

Unbiased VaeAttention::ChangeByProducts(const at::Tensor& normed) const {
  const std::int64_t images = normed.size(0);
  const at::Tensor image = normed.permute({0, 2, 3, 1});  // as its memory is
  const at::Tensor pixels = image.reshape({-1, normed.size(1)});
  const at::Tensor queries = query_.OfPixels(pixels);
  const at::Tensor keys = key_.OfPixels(pixels);
  const at::Tensor values = value_.OfPixels(pixels);
  const at::Tensor attended = at::empty_like(queries);
  const std::int64_t of_image = pixels.size(0) / images;
  for (std::int64_t i = 0; i < images; ++i) {
    const auto of = [i, of_image](const at::Tensor& all) {
      return all.narrow(0, i * of_image, of_image);
    };
    steps_.Attend({of(queries), of(keys), of(values)}, of(attended));
  }
  const Unbiased change = out_.OpenOfPixels(attended);
  return {change.image.reshape(image.sizes()).permute({0, 3, 1, 2}), change.bias};
}

}  // namespace hearth
