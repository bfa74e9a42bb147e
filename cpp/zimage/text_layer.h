#ifndef HEARTH_ZIMAGE_TEXT_LAYER_H_
#define HEARTH_ZIMAGE_TEXT_LAYER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "weights/weight_scope.h"
#include "zimage/feed_forward.h"
#include "zimage/fused_steps.h"
#include "zimage/linear.h"
#include "zimage/norm.h"
#include "zimage/rope.h"

namespace hearth {

// Each token attends to itself and those before it. Several heads of queries share one of keys and
// values; queries and keys are normed by head.
class CausalAttention {
 public:
  CausalAttention(const WeightScope& scope, std::int64_t width, FusedSteps steps);

  at::Tensor operator()(const at::Tensor& x, const RopeTable& rope) const;
  std::int64_t head_width() const { return query_norm_.width(); }

 private:
  Linear query_;
  Linear key_;
  Linear value_;
  Linear out_;
  RmsNorm query_norm_;
  RmsNorm key_norm_;
  FusedSteps steps_;
};

// One layer of Qwen3: Yang et al., "Qwen3 Technical Report" (2025), arXiv:2505.09388.
class TextLayer {
 public:
  // Throws CheckpointMismatch.
  TextLayer(const WeightScope& scope, std::int64_t width, const FusedSteps& steps);

  // How the stream goes into this layer.
  FusedSteps::Entry entry() const { return {attention_norm_, {}}; }
  // `in`: batch x tokens x width, and what entry() makes of it. `next`: of the layer behind this
  // one; null for the last.
  FusedSteps::Sum operator()(const FusedSteps::Sum& in, const RopeTable& rope,
                             const FusedSteps::Entry* next) const;
  std::int64_t head_width() const { return attention_.head_width(); }

 private:
  RmsNorm attention_norm_;
  CausalAttention attention_;
  RmsNorm feed_norm_;
  FeedForward feed_forward_;
  FusedSteps steps_;
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_TEXT_LAYER_H_
