#include "zimage/transformer_block.h"

namespace hearth {
namespace {

constexpr double kNormEps = 1e-5;
constexpr FeedForward::Names kFeedNames{"w1.", "w3.", "w2."};

}  // namespace

TransformerBlock::TransformerBlock(const WeightScope& scope, const BlockSizes& sizes)
    : attention_before_(scope.Under("attention_norm1."), sizes.width, kNormEps),
      attention_after_(scope.Under("attention_norm2."), sizes.width, kNormEps),
      feed_before_(scope.Under("ffn_norm1."), sizes.width, kNormEps),
      feed_after_(scope.Under("ffn_norm2."), sizes.width, kNormEps),
      attention_(scope.Under("attention."), sizes.width, sizes.qk_norm_eps),
      feed_forward_(scope.Under("feed_forward."), sizes.width, kFeedNames) {}

at::Tensor TransformerBlock::operator()(const at::Tensor& x, const RopeTable& rope) const {
  const at::Tensor attended = x.add(attention_after_(attention_(attention_before_(x), rope)));
  return attended.add(feed_after_(feed_forward_(feed_before_(attended))));
}

at::Tensor TransformerBlock::Modulated(const at::Tensor& x, const RopeTable& rope,
                                       const BlockGates& gates) const {
  const at::Tensor attention_in = attention_before_(x).mul(gates.attention_scale);
  const at::Tensor attention_out = attention_after_(attention_(attention_in, rope));
  const at::Tensor attended = x.add(gates.attention_gate.mul(attention_out));
  const at::Tensor feed_in = feed_before_(attended).mul(gates.feed_scale);
  const at::Tensor feed_out = feed_after_(feed_forward_(feed_in));
  return attended.add(gates.feed_gate.mul(feed_out));
}

ModulatedBlock::ModulatedBlock(const WeightScope& scope, const BlockSizes& sizes,
                               std::int64_t time_width)
    : TransformerBlock(scope, sizes),
      modulation_(scope.Under("adaLN_modulation.0."), 4 * sizes.width, time_width, true) {}

}  // namespace hearth
