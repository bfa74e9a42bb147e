#ifndef HEARTH_ZIMAGE_ATTENTION_H_
#define HEARTH_ZIMAGE_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "weights/weight_scope.h"
#include "zimage/fused_steps.h"
#include "zimage/linear.h"
#include "zimage/norm.h"
#include "zimage/rope.h"

namespace hearth {

// Every token attends to every other one: no mask, also not over the padding, as the model was
// trained. Queries and keys are normed by head and turned by position in float32, rounded once.
class JointAttention {
 public:
  // Reads the fused layout (`qkv`, `out`, `q_norm`) and the separate one (`to_q`, `to_out.0`,
  // `norm_q`). Throws CheckpointMismatch.
  JointAttention(const WeightScope& scope, std::int64_t width, double qk_norm_eps,
                 FusedSteps steps);

  // `x`: batch x tokens x width.
  at::Tensor operator()(const at::Tensor& x, const RopeTable& rope) const;

 private:
  // Queries, keys and values, each batch x tokens x heads x head width.
  std::vector<at::Tensor> Project(const at::Tensor& x) const;

  std::vector<Linear> projections_;  // one fused, or one each of queries, keys and values
  Linear out_;
  RmsNorm query_norm_;
  RmsNorm key_norm_;
  std::int64_t heads_;
  FusedSteps steps_;
};

// The width of a head of the model below `scope`, read from the norm of its queries.
std::int64_t HeadWidthOf(const WeightScope& scope);

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_ATTENTION_H_
