#ifndef HEARTH_ZIMAGE_IMAGE_STEPS_H_
#define HEARTH_ZIMAGE_IMAGE_STEPS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "device/vae_kernels.h"

namespace hearth {

// An image that is still without a bias of its channels.
struct Unbiased {
  at::Tensor image;
  at::Tensor bias;  // undefined: nothing is to be added
};

// What a VAE does between its convolutions. With kernels, images in bfloat16 whose channels lie
// together take fewer passes over memory, and are rounded once; otherwise it is tensor operations,
// which round where ComfyUI's do. Immutable; any thread.
class ImageSteps {
 public:
  using Kernels = std::shared_ptr<const VaeKernels>;

  // `kernels` may be null: tensor operations.
  explicit ImageSteps(Kernels kernels) : kernels_(std::move(kernels)) {}

  bool has_kernels() const { return kernels_ != nullptr; }
  // Whether what is made of `x`, with that bias, can be left without it until the next step.
  bool Defers(const at::Tensor& x, const at::Tensor& bias) const;

  // Wu and He, "Group Normalization" (2018), arXiv:1803.08494, over 32 groups.
  struct Norm {
    const at::Tensor& weight;
    const at::Tensor& bias;
    bool has_silu;  // then SiLU
  };
  at::Tensor Normed(const Unbiased& x, const Norm& norm) const;
  // x, or its memory, with its bias.
  at::Tensor Whole(const Unbiased& x) const;
  // x + y, with their biases; the memory of `y` may be overwritten.
  at::Tensor Sum(const Unbiased& x, const Unbiased& y) const;
  // Twice as high and wide: every pixel four times.
  at::Tensor Doubled(const at::Tensor& x) const;

  // Queries, keys and values of the pixels of one image, pixels x width.
  struct Attended {
    at::Tensor queries, keys, values;
  };
  bool TakesAttention(const at::Tensor& x) const;
  // Softmax of the scaled products, in float32, times the values: into `out`, of the same shape.
  // REQUIRES: TakesAttention(the image).
  void Attend(const Attended& parts, const at::Tensor& out) const;

 private:
  bool IsForKernels(const at::Tensor& x) const;

  Kernels kernels_;
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_IMAGE_STEPS_H_
