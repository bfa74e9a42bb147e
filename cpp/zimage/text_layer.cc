#include "zimage/text_layer.h"

#include <ATen/ops/scaled_dot_product_attention.h>

#include <optional>

namespace hearth {
namespace {

constexpr double kNormEps = 1e-6;
constexpr FeedForward::Names kFeedNames{"gate_proj.", "up_proj.", "down_proj."};

}  // namespace

CausalAttention::CausalAttention(const WeightScope& scope, std::int64_t width)
    : query_(scope.Under("q_proj."), kAnySize, width, false),
      key_(scope.Under("k_proj."), kAnySize, width, false),
      value_(scope.Under("v_proj."), key_.rows(), width, false),
      out_(scope.Under("o_proj."), width, query_.rows(), false),
      query_norm_(scope.Under("q_norm."), kAnySize, kNormEps),
      key_norm_(scope.Under("k_norm."), query_norm_.width(), kNormEps) {}

at::Tensor CausalAttention::operator()(const at::Tensor& x, const RopeTable& rope) const {
  const auto heads = [this](const at::Tensor& part) {
    return part.unflatten(-1, {-1, head_width()});
  };
  const at::Tensor query = TurnHalves(query_norm_(heads(query_(x))), rope);
  const at::Tensor key = TurnHalves(key_norm_(heads(key_(x))), rope);
  const at::Tensor attended = at::scaled_dot_product_attention(
      query.transpose(1, 2), key.transpose(1, 2), heads(value_(x)).transpose(1, 2),
      /*attn_mask=*/{}, /*dropout_p=*/0.0, /*is_causal=*/true, /*scale=*/std::nullopt,
      /*enable_gqa=*/true);
  return out_(attended.transpose(1, 2).flatten(2));
}

TextLayer::TextLayer(const WeightScope& scope, std::int64_t width)
    : attention_norm_(scope.Under("input_layernorm."), width, kNormEps),
      attention_(scope.Under("self_attn."), width),
      feed_norm_(scope.Under("post_attention_layernorm."), width, kNormEps),
      feed_forward_(scope.Under("mlp."), width, kFeedNames) {}

at::Tensor TextLayer::operator()(const at::Tensor& x, const RopeTable& rope) const {
  const at::Tensor attended = x.add(attention_(attention_norm_(x), rope));
  return attended.add(feed_forward_(feed_norm_(attended)));
}

}  // namespace hearth
