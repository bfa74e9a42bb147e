#ifndef HEARTH_ZIMAGE_FEED_FORWARD_H_
#define HEARTH_ZIMAGE_FEED_FORWARD_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "weights/weight_scope.h"
#include "zimage/fused_steps.h"
#include "zimage/linear.h"

namespace hearth {

// SwiGLU: down(silu(gate x) * up x): Shazeer, "GLU Variants Improve Transformer" (2020),
// arXiv:2002.05202. No biases.
class FeedForward {
 public:
  // What the three matrices are called, each with its dot.
  struct Names {
    const char* gate;
    const char* up;
    const char* down;
  };

  FeedForward(const WeightScope& scope, std::int64_t width, const Names& names,
              FusedSteps steps = {});

  at::Tensor operator()(const at::Tensor& x) const;

 private:
  Linear gate_;
  Linear up_;
  Linear down_;
  FusedSteps steps_;
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_FEED_FORWARD_H_
