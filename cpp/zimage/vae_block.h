#ifndef HEARTH_ZIMAGE_VAE_BLOCK_H_
#define HEARTH_ZIMAGE_VAE_BLOCK_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "device/group_norm_kernels.h"
#include "weights/weight_scope.h"

namespace hearth {

// The two ways in which the parts of a VAE are named.
enum class VaeLayout { kOriginal, kDiffusers };

// A convolution that keeps height and width. As everywhere, the weights are brought to the type of
// `x` at each use.
class Convolution {
 public:
  // `size`: 3, or 1; of the latter diffusers writes some as matrices, which is taken too.
  Convolution(const WeightScope& scope, std::int64_t rows, std::int64_t columns, std::int64_t size);

  at::Tensor operator()(const at::Tensor& x) const;
  std::int64_t rows() const { return weight_.size(0); }
  std::int64_t columns() const { return weight_.size(1); }

 private:
  at::Tensor weight_;
  at::Tensor bias_;
};

// Null: tensor operations.
using GroupNorms = std::shared_ptr<const GroupNormKernels>;

// Wu and He, "Group Normalization" (2018), arXiv:1803.08494, over 32 groups. With kernels, images
// in bfloat16 whose channels lie together take fewer passes over memory, and are rounded once.
class GroupNorm {
 public:
  GroupNorm(const WeightScope& scope, std::int64_t width, GroupNorms kernels);

  at::Tensor operator()(const at::Tensor& x) const { return Normed(x, false); }
  // The same, then SiLU.
  at::Tensor WithSilu(const at::Tensor& x) const { return Normed(x, true); }

 private:
  at::Tensor Normed(const at::Tensor& x, bool has_silu) const;
  bool IsForKernels(const at::Tensor& x) const;

  at::Tensor weight_;
  at::Tensor bias_;
  GroupNorms kernels_;
};

// How the parts of one VAE are read and computed.
struct VaeStyle {
  VaeLayout layout;
  GroupNorms kernels;
};

// x + conv(silu(norm(conv(silu(norm x))))), with x brought to the new width where that changes.
class ResidualBlock {
 public:
  // Takes the new width from the file.
  ResidualBlock(const WeightScope& scope, const VaeStyle& style, std::int64_t width);

  at::Tensor operator()(const at::Tensor& x) const;
  std::int64_t width() const { return first_.rows(); }

 private:
  GroupNorm first_norm_;
  Convolution first_;
  GroupNorm second_norm_;
  Convolution second_;
  std::optional<Convolution> shortcut_;
};

// Every pixel attends to every other one, with one head.
class VaeAttention {
 public:
  VaeAttention(const WeightScope& scope, const VaeStyle& style, std::int64_t width);

  at::Tensor operator()(const at::Tensor& x) const;

 private:
  GroupNorm norm_;
  Convolution query_;
  Convolution key_;
  Convolution value_;
  Convolution out_;
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_VAE_BLOCK_H_
