#ifndef HEARTH_ZIMAGE_TRANSFORMER_BLOCK_H_
#define HEARTH_ZIMAGE_TRANSFORMER_BLOCK_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "weights/weight_scope.h"
#include "zimage/attention.h"
#include "zimage/feed_forward.h"
#include "zimage/fused_steps.h"
#include "zimage/modulation.h"
#include "zimage/norm.h"

namespace hearth {

struct BlockOptions {
  std::int64_t width;
  double qk_norm_eps;
  FusedSteps steps;
};

// Attention, then feed forward, each normed before and after and added to what came in.
class TransformerBlock {
 public:
  // Throws CheckpointMismatch.
  TransformerBlock(const WeightScope& scope, const BlockOptions& options);

  // How the stream goes into this block, which depends on no noise level.
  FusedSteps::Entry entry() const { return EntryWith({}); }
  // `in`: batch x tokens x width, and what entry() makes of it. `next`: of the block behind this
  // one; null for the last.
  FusedSteps::Sum operator()(const FusedSteps::Sum& in, const RopeTable& rope,
                             const FusedSteps::Entry* next) const {
    return Modulated(in, rope, {}, next);
  }

 protected:
  FusedSteps::Entry EntryWith(const BlockGates& gates) const {
    return {attention_before_, gates.attention_scale};
  }
  FusedSteps::Sum Modulated(const FusedSteps::Sum& in, const RopeTable& rope,
                            const BlockGates& gates, const FusedSteps::Entry* next) const;

 private:
  RmsNorm attention_before_;
  RmsNorm attention_after_;
  RmsNorm feed_before_;
  RmsNorm feed_after_;
  JointAttention attention_;
  FeedForward feed_forward_;
  FusedSteps steps_;
};

// The same with what goes into a branch scaled, and what comes out of it gated, by noise level.
class ModulatedBlock : private TransformerBlock {
 public:
  // `time_width`: of the time embedding.
  ModulatedBlock(const WeightScope& scope, const BlockOptions& options, std::int64_t time_width);

  // `time`: levels x time width. No SiLU before this matrix, other than in the models it descends
  // from.
  GateRows GatesAt(const at::Tensor& time) const { return GateRows(modulation_(time)); }

  FusedSteps::Entry entry(const BlockGates& gates) const { return EntryWith(gates); }
  FusedSteps::Sum operator()(const FusedSteps::Sum& in, const RopeTable& rope,
                             const BlockGates& gates, const FusedSteps::Entry* next) const {
    return Modulated(in, rope, gates, next);
  }

 private:
  Linear modulation_;
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_TRANSFORMER_BLOCK_H_
