#include "zimage/transformer_block.h"

namespace hearth {
namespace {

constexpr double kNormEps = 1e-5;
constexpr FeedForward::Names kFeedNames{"w1.", "w3.", "w2."};

}  // namespace

TransformerBlock::TransformerBlock(const WeightScope& scope, const BlockOptions& options)
    : attention_before_(scope.Under("attention_norm1."), options.width, kNormEps),
      attention_after_(scope.Under("attention_norm2."), options.width, kNormEps),
      feed_before_(scope.Under("ffn_norm1."), options.width, kNormEps),
      feed_after_(scope.Under("ffn_norm2."), options.width, kNormEps),
      attention_(scope.Under("attention."), options.width, options.qk_norm_eps, options.steps),
      feed_forward_(scope.Under("feed_forward."), options.width, kFeedNames, options.steps),
      steps_(options.steps) {}

FusedSteps::Sum TransformerBlock::Modulated(const FusedSteps::Sum& in, const RopeTable& rope,
                                            const BlockGates& gates,
                                            const FusedSteps::Entry* next) const {
  const FusedSteps::Entry feed{feed_before_, gates.feed_scale};
  const FusedSteps::Sum attended = steps_.Add(in.stream, attention_(in.branch, rope),
                                              {&attention_after_, gates.attention_gate}, &feed);
  return steps_.Add(attended.stream, feed_forward_(attended.branch),
                    {&feed_after_, gates.feed_gate}, next);
}

ModulatedBlock::ModulatedBlock(const WeightScope& scope, const BlockOptions& options,
                               std::int64_t time_width)
    : TransformerBlock(scope, options),
      modulation_(scope.Under("adaLN_modulation.0."), 4 * options.width, time_width, true) {}

}  // namespace hearth
