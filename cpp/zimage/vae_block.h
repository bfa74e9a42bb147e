#ifndef HEARTH_ZIMAGE_VAE_BLOCK_H_
#define HEARTH_ZIMAGE_VAE_BLOCK_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "weights/weight_scope.h"
#include "zimage/image_steps.h"

namespace hearth {

// The two ways in which the parts of a VAE are named.
enum class VaeLayout { kOriginal, kDiffusers };

// How the parts of one VAE are read and computed.
struct VaeStyle {
  VaeLayout layout;
  ImageSteps steps;
};

// A convolution that keeps height and width. As everywhere, the weights are brought to the type of
// `x` at each use.
class Convolution {
 public:
  // `size`: 3, or 1; of the latter diffusers writes some as matrices, which is taken too.
  struct Shape {
    std::int64_t rows, columns, size;
  };
  Convolution(const WeightScope& scope, const ImageSteps& steps, const Shape& shape);

  at::Tensor operator()(const at::Tensor& x) const { return steps_.Whole(Open(x)); }
  // The same, with the bias left to the step that follows where that saves a pass over memory.
  Unbiased Open(const at::Tensor& x) const;
  // Of size 1, over pixels x columns. The second leaves the bias to the step that follows.
  at::Tensor OfPixels(const at::Tensor& pixels) const;
  Unbiased OpenOfPixels(const at::Tensor& pixels) const;
  std::int64_t rows() const { return weight_.size(0); }
  std::int64_t columns() const { return weight_.size(1); }

 private:
  ImageSteps steps_;
  at::Tensor weight_;  // with kernels as they read images: the channels lie together
  at::Tensor bias_;
};

// GroupNorm over 32 groups.
class GroupNorm {
 public:
  GroupNorm(const WeightScope& scope, const ImageSteps& steps, std::int64_t width);

  at::Tensor operator()(const at::Tensor& x) const {
    return steps_.Normed({x, {}}, {weight_, bias_, /*has_silu=*/false});
  }
  // The same, then SiLU.
  at::Tensor WithSilu(const Unbiased& x) const {
    return steps_.Normed(x, {weight_, bias_, /*has_silu=*/true});
  }

 private:
  ImageSteps steps_;
  at::Tensor weight_;
  at::Tensor bias_;
};

// x + conv(silu(norm(conv(silu(norm x))))), with x brought to the new width where that changes.
class ResidualBlock {
 public:
  // Takes the new width from the file.
  ResidualBlock(const WeightScope& scope, const VaeStyle& style, std::int64_t width);

  at::Tensor operator()(const at::Tensor& x) const;
  std::int64_t width() const { return first_.rows(); }

 private:
  ImageSteps steps_;
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
  // What is added to `x`, of the queries, keys and values of `normed`.
  Unbiased Change(const at::Tensor& normed) const;
  Unbiased ChangeByProducts(const at::Tensor& normed) const;

  ImageSteps steps_;
  GroupNorm norm_;
  Convolution query_;
  Convolution key_;
  Convolution value_;
  Convolution out_;
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_VAE_BLOCK_H_
