#include "zimage/attention.h"

#include <string>
#include <utility>

namespace hearth {
namespace {

bool IsFused(const WeightScope& scope) { return !scope.Has("to_q.weight"); }

std::vector<Linear> ReadProjections(const WeightScope& scope, std::int64_t width) {
  std::vector<Linear> projections;
  if (IsFused(scope)) {
    projections.emplace_back(scope.Under("qkv."), 3 * width, width, false);
    return projections;
  }
  for (const char* const part : {"to_q.", "to_k.", "to_v."}) {
    projections.emplace_back(scope.Under(part), width, width, false);
  }
  return projections;
}

}  // namespace

std::int64_t HeadWidthOf(const WeightScope& scope) {
  return scope.Get(IsFused(scope) ? "q_norm.weight" : "norm_q.weight", {kAnySize}).size(0);
}

JointAttention::JointAttention(const WeightScope& scope, std::int64_t width, double qk_norm_eps,
                               FusedSteps steps)
    : projections_(ReadProjections(scope, width)),
      out_(scope.Under(IsFused(scope) ? "out." : "to_out.0."), width, width, false),
      query_norm_(scope.Under(IsFused(scope) ? "q_norm." : "norm_q."), kAnySize, qk_norm_eps),
      key_norm_(scope.Under(IsFused(scope) ? "k_norm." : "norm_k."), query_norm_.width(),
                qk_norm_eps),
      heads_(width / query_norm_.width()),
      steps_(std::move(steps)) {
  if (!steps_.has_short_products()) return;
  for (Linear& projection : projections_) projection.Quantise();
  out_.Quantise();
}

std::vector<at::Tensor> JointAttention::Project(const at::Tensor& x) const {
  const MatrixInput input = steps_.Input(x);
  std::vector<at::Tensor> parts;
  if (projections_.size() == 1) {
    parts = steps_.Product(projections_.front(), input).chunk(3, -1);
  } else {
    for (const Linear& projection : projections_) {
      parts.push_back(steps_.Product(projection, input));
    }
  }
  for (at::Tensor& part : parts) part = part.unflatten(-1, {heads_, query_norm_.width()});
  return parts;
}

at::Tensor JointAttention::operator()(const at::Tensor& x, const RopeTable& rope) const {
  const std::vector<at::Tensor> parts = Project(x);
  const FusedSteps::Turned turned =
      steps_.NormAndTurn({parts[0], query_norm_}, {parts[1], key_norm_}, rope);
  const at::Tensor attended =
      steps_.Attend({turned.queries, turned.keys, parts[2].transpose(1, 2), /*is_causal=*/false});
  return steps_.Product(out_, steps_.Input(attended.transpose(1, 2).flatten(2)));
}

}  // namespace hearth
