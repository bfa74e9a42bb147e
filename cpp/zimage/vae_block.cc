#include "zimage/vae_block.h"

#include <ATen/ops/conv2d.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/silu.h>

#include <vector>

namespace hearth {
namespace {

constexpr std::int64_t kGroups = 32;
constexpr double kNormEps = 1e-6;

at::Tensor ReadKernel(const WeightScope& scope, const std::vector<std::int64_t>& shape) {
  if (shape[2] == 1 && scope.Rank("weight") == 2) {
    return scope.Get("weight", {shape[0], shape[1]}).unflatten(1, {-1, 1, 1});
  }
  return scope.Get("weight", shape);
}

std::optional<Convolution> ReadShortcut(const WeightScope& scope, VaeLayout layout,
                                        std::int64_t rows, std::int64_t columns) {
  if (rows == columns) return std::nullopt;
  const char* const name = layout == VaeLayout::kOriginal ? "nin_shortcut." : "conv_shortcut.";
  return Convolution(scope.Under(name), rows, columns, 1);
}

}  // namespace

Convolution::Convolution(const WeightScope& scope, std::int64_t rows, std::int64_t columns,
                         std::int64_t size)
    : weight_(ReadKernel(scope, {rows, columns, size, size})),
      bias_(scope.Get("bias", {weight_.size(0)})) {}

at::Tensor Convolution::operator()(const at::Tensor& x) const {
  const std::int64_t padding = weight_.size(2) / 2;
  return at::conv2d(x, weight_.to(x.scalar_type()), bias_.to(x.scalar_type()), 1, padding);
}

GroupNorm::GroupNorm(const WeightScope& scope, std::int64_t width)
    : weight_(scope.Get("weight", {width})), bias_(scope.Get("bias", {width})) {}

at::Tensor GroupNorm::operator()(const at::Tensor& x) const {
  return at::group_norm(x, kGroups, weight_.to(x.scalar_type()), bias_.to(x.scalar_type()),
                        kNormEps);
}

ResidualBlock::ResidualBlock(const WeightScope& scope, VaeLayout layout, std::int64_t width)
    : first_norm_(scope.Under("norm1."), width),
      first_(scope.Under("conv1."), kAnySize, width, 3),
      second_norm_(scope.Under("norm2."), first_.rows()),
      second_(scope.Under("conv2."), first_.rows(), first_.rows(), 3),
      shortcut_(ReadShortcut(scope, layout, first_.rows(), width)) {}

at::Tensor ResidualBlock::operator()(const at::Tensor& x) const {
  const at::Tensor widened = first_(at::silu(first_norm_(x)));
  const at::Tensor change = second_(at::silu(second_norm_(widened)));
  return (shortcut_ ? (*shortcut_)(x) : x).add(change);
}

VaeAttention::VaeAttention(const WeightScope& scope, VaeLayout layout, std::int64_t width)
    : norm_(scope.Under(layout == VaeLayout::kOriginal ? "norm." : "group_norm."), width),
      query_(scope.Under(layout == VaeLayout::kOriginal ? "q." : "to_q."), width, width, 1),
      key_(scope.Under(layout == VaeLayout::kOriginal ? "k." : "to_k."), width, width, 1),
      value_(scope.Under(layout == VaeLayout::kOriginal ? "v." : "to_v."), width, width, 1),
      out_(scope.Under(layout == VaeLayout::kOriginal ? "proj_out." : "to_out.0."), width, width,
           1) {}

at::Tensor VaeAttention::operator()(const at::Tensor& x) const {
  const at::Tensor normed = norm_(x);
  // batch x 1 head x pixels x width
  const auto pixels = [&normed](const Convolution& part) {
    return part(normed).flatten(2).transpose(1, 2).unsqueeze(1);
  };
  const at::Tensor attended =
      at::scaled_dot_product_attention(pixels(query_), pixels(key_), pixels(value_));
  return x.add(out_(attended.squeeze(1).transpose(1, 2).reshape(x.sizes())));
}

}  // namespace hearth
