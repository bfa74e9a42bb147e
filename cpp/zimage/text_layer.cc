#include "zimage/text_layer.h"

#include <utility>

namespace hearth {
namespace {

constexpr double kNormEps = 1e-6;
constexpr FeedForward::Names kFeedNames{"gate_proj.", "up_proj.", "down_proj."};

}  // namespace

CausalAttention::CausalAttention(const WeightScope& scope, std::int64_t width, FusedSteps steps)
    : query_(scope.Under("q_proj."), kAnySize, width, false),
      key_(scope.Under("k_proj."), kAnySize, width, false),
      value_(scope.Under("v_proj."), key_.rows(), width, false),
      out_(scope.Under("o_proj."), width, query_.rows(), false),
      query_norm_(scope.Under("q_norm."), kAnySize, kNormEps),
      key_norm_(scope.Under("k_norm."), query_norm_.width(), kNormEps),
      steps_(std::move(steps)) {}

at::Tensor CausalAttention::operator()(const at::Tensor& x, const RopeTable& rope) const {
  const auto heads = [this](const at::Tensor& part) {
    return part.unflatten(-1, {-1, head_width()});
  };
  const FusedSteps::Turned turned =
      steps_.NormAndTurn({heads(query_(x)), query_norm_}, {heads(key_(x)), key_norm_}, rope);
  const at::Tensor attended = steps_.Attend(
      {turned.queries, turned.keys, heads(value_(x)).transpose(1, 2), /*is_causal=*/true});
  return out_(attended.transpose(1, 2).flatten(2));
}

TextLayer::TextLayer(const WeightScope& scope, std::int64_t width, const FusedSteps& steps)
    : attention_norm_(scope.Under("input_layernorm."), width, kNormEps),
      attention_(scope.Under("self_attn."), width, steps),
      feed_norm_(scope.Under("post_attention_layernorm."), width, kNormEps),
      feed_forward_(scope.Under("mlp."), width, kFeedNames, steps),
      steps_(steps) {}

FusedSteps::Sum TextLayer::operator()(const FusedSteps::Sum& in, const RopeTable& rope,
                                      const FusedSteps::Entry* next) const {
  const FusedSteps::Return as_it_is{nullptr, {}};
  const FusedSteps::Entry feed{feed_norm_, {}};
  const FusedSteps::Sum attended =
      steps_.Add(in.stream, attention_(in.branch, rope), as_it_is, &feed);
  return steps_.Add(attended.stream, feed_forward_(attended.branch), as_it_is, next);
}

}  // namespace hearth
