#include "zimage/vae_block.h"

#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/silu.h>

#include <utility>
#include <vector>

#include "zimage/device_tensor.h"

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

GroupNorm::GroupNorm(const WeightScope& scope, std::int64_t width, GroupNorms kernels)
    : weight_(scope.Get("weight", {width})),
      bias_(scope.Get("bias", {width})),
      kernels_(std::move(kernels)) {}

bool GroupNorm::IsForKernels(const at::Tensor& x) const {
  const auto is_plain = [](const at::Tensor& tensor) {
    return tensor.is_cuda() && tensor.scalar_type() == at::kBFloat16 && AddressOf(tensor) % 16 == 0;
  };
  return kernels_ && is_plain(x) && x.is_contiguous(at::MemoryFormat::ChannelsLast) &&
         is_plain(weight_) && is_plain(bias_) &&
         GroupNormKernels::Takes(x.size(1), x.size(2) * x.size(3));
}

at::Tensor GroupNorm::Normed(const at::Tensor& x, bool has_silu) const {
  if (!IsForKernels(x)) {
    const at::Tensor normed = at::group_norm(x, kGroups, weight_.to(x.scalar_type()),
                                             bias_.to(x.scalar_type()), kNormEps);
    return has_silu ? at::silu(normed) : normed;
  }
  at::Tensor out = at::empty_like(x);
  const at::Tensor room =
      at::empty({GroupNormKernels::RoomBytes(x.size(0))}, x.options().dtype(at::kByte));
  kernels_->Run(
      {x.size(0), x.size(2) * x.size(3), x.size(1), kNormEps, has_silu},
      {AddressOf(x), AddressOf(weight_), AddressOf(bias_), AddressOf(out), AddressOf(room)},
      StreamOf(x));
  return out;
}

ResidualBlock::ResidualBlock(const WeightScope& scope, const VaeStyle& style, std::int64_t width)
    : first_norm_(scope.Under("norm1."), width, style.kernels),
      first_(scope.Under("conv1."), kAnySize, width, 3),
      second_norm_(scope.Under("norm2."), first_.rows(), style.kernels),
      second_(scope.Under("conv2."), first_.rows(), first_.rows(), 3),
      shortcut_(ReadShortcut(scope, style.layout, first_.rows(), width)) {}

at::Tensor ResidualBlock::operator()(const at::Tensor& x) const {
  const at::Tensor widened = first_(first_norm_.WithSilu(x));
  const at::Tensor change = second_(second_norm_.WithSilu(widened));
  return (shortcut_ ? (*shortcut_)(x) : x).add(change);
}

VaeAttention::VaeAttention(const WeightScope& scope, const VaeStyle& style, std::int64_t width)
    : norm_(scope.Under(style.layout == VaeLayout::kOriginal ? "norm." : "group_norm."), width,
            style.kernels),
      query_(scope.Under(style.layout == VaeLayout::kOriginal ? "q." : "to_q."), width, width, 1),
      key_(scope.Under(style.layout == VaeLayout::kOriginal ? "k." : "to_k."), width, width, 1),
      value_(scope.Under(style.layout == VaeLayout::kOriginal ? "v." : "to_v."), width, width, 1),
      out_(scope.Under(style.layout == VaeLayout::kOriginal ? "proj_out." : "to_out.0."), width,
           width, 1) {}

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
