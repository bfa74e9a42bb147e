#include "zimage/image_steps.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/upsample_nearest2d.h>

#include <algorithm>
#include <cmath>

#include "zimage/device_tensor.h"

namespace hearth {
namespace {

constexpr std::int64_t kGroups = 32;
constexpr double kNormEps = 1e-6;
// How many scores of the attention there are at once: 256 MiB, and half as much for their softmax.
constexpr std::int64_t kMaxScores = std::int64_t{1} << 26;

bool IsPlain(const at::Tensor& tensor) {
  return tensor.is_cuda() && tensor.scalar_type() == at::kBFloat16 && AddressOf(tensor) % 16 == 0;
}

bool IsPlainOrNone(const at::Tensor& tensor) { return !tensor.defined() || IsPlain(tensor); }

// The products of bfloat16 as float32: releases of torch before 2.8 round them first.
template <typename Tensor>
Tensor Products(const Tensor& rows, const Tensor& columns) {
  if constexpr (requires { at::mm(rows, columns, at::kFloat); }) {
    return at::mm(rows, columns, at::kFloat);
  } else {
    return at::mm(rows, columns).to(at::kFloat);
  }
}

}  // namespace

bool ImageSteps::IsForKernels(const at::Tensor& x) const {
  return kernels_ && x.dim() == 4 && IsPlain(x) &&
         x.is_contiguous(at::MemoryFormat::ChannelsLast) && VaeKernels::TakesSum(x.size(1));
}

bool ImageSteps::Defers(const at::Tensor& x, const at::Tensor& bias) const {
  return kernels_ && IsPlain(x) && x.is_contiguous(at::MemoryFormat::ChannelsLast) &&
         IsPlain(bias) && VaeKernels::TakesSum(bias.size(0));
}

at::Tensor ImageSteps::Whole(const Unbiased& x) const {
  if (!x.bias.defined()) return x.image;
  if (!IsForKernels(x.image) || !IsPlain(x.bias))
    return x.image.add(x.bias.unflatten(0, {-1, 1, 1}));
  const std::int64_t channels = x.image.size(1);
  kernels_->Sum(x.image.numel() / channels, channels,
                {0, AddressOf(x.image), AddressOf(x.bias), 0, AddressOf(x.image)},
                StreamOf(x.image));
  return x.image;
}

at::Tensor ImageSteps::Sum(const Unbiased& x, const Unbiased& y) const {
  if (!IsForKernels(x.image) || !IsForKernels(y.image) || x.image.sizes() != y.image.sizes() ||
      !IsPlainOrNone(x.bias) || !IsPlainOrNone(y.bias)) {
    return Whole(x).add(Whole(y));
  }
  const std::int64_t channels = x.image.size(1);
  kernels_->Sum(x.image.numel() / channels, channels,
                {AddressOf(x.image), AddressOf(y.image), AddressOf(x.bias), AddressOf(y.bias),
                 AddressOf(y.image)},
                StreamOf(x.image));
  return y.image;
}

at::Tensor ImageSteps::Normed(const Unbiased& x, const Norm& norm) const {
  const at::Tensor& image = x.image;
  if (!IsForKernels(image) || !IsPlain(norm.weight) || !IsPlain(norm.bias) ||
      !IsPlainOrNone(x.bias) ||
      !VaeKernels::TakesNorm(image.size(1), image.size(2) * image.size(3))) {
    const at::Tensor normed = at::group_norm(Whole(x), kGroups, norm.weight.to(image.scalar_type()),
                                             norm.bias.to(image.scalar_type()), kNormEps);
    return norm.has_silu ? at::silu(normed) : normed;
  }
  at::Tensor out = at::empty_like(image);
  const at::Tensor room =
      at::empty({VaeKernels::RoomBytes(image.size(0))}, image.options().dtype(at::kByte));
  kernels_->Norm(
      {image.size(0), image.size(2) * image.size(3), image.size(1), kNormEps, norm.has_silu},
      {AddressOf(image), AddressOf(x.bias), AddressOf(norm.weight), AddressOf(norm.bias),
       AddressOf(out), AddressOf(room)},
      StreamOf(image));
  return out;
}

at::Tensor ImageSteps::Doubled(const at::Tensor& x) const {
  const std::int64_t height = x.size(2);
  const std::int64_t width = x.size(3);
  if (!IsForKernels(x) || x.size(0) * height > VaeKernels::kMaxRows) {
    return at::upsample_nearest2d(x, {2 * height, 2 * width});
  }
  at::Tensor out = at::empty({x.size(0), x.size(1), 2 * height, 2 * width}, x.options(),
                             at::MemoryFormat::ChannelsLast);
  kernels_->Double({x.size(0) * height, width, x.size(1)}, AddressOf(x), AddressOf(out),
                   StreamOf(x));
  return out;
}

bool ImageSteps::TakesAttention(const at::Tensor& x) const {
  return IsForKernels(x) && x.size(2) * x.size(3) % 8 == 0;
}

void ImageSteps::Attend(const Attended& parts, const at::Tensor& out) const {
  const std::int64_t pixels = parts.queries.size(0);
  const double scale = 1.0 / std::sqrt(static_cast<double>(parts.queries.size(1)));
  const std::int64_t at_once = std::max<std::int64_t>(kMaxScores / pixels, 1);
  const at::Tensor keys = parts.keys.t();
  for (std::int64_t first = 0; first < pixels; first += at_once) {
    const std::int64_t rows = std::min(at_once, pixels - first);
    const at::Tensor scores = Products(parts.queries.narrow(0, first, rows), keys);
    const at::Tensor shares = at::empty({rows, pixels}, parts.queries.options());
    kernels_->Softmax({rows, pixels, scale}, AddressOf(scores), AddressOf(shares),
                      StreamOf(scores));
    at::Tensor part = out.narrow(0, first, rows);
    at::mm_out(part, shares, parts.values);
  }
}

}  // namespace hearth
