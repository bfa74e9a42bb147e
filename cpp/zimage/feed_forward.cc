#include "zimage/feed_forward.h"

#include <ATen/ops/silu.h>

namespace hearth {

FeedForward::FeedForward(const WeightScope& scope, std::int64_t width, const Names& names)
    : gate_(scope.Under(names.gate), kAnySize, width, false),
      up_(scope.Under(names.up), gate_.rows(), width, false),
      down_(scope.Under(names.down), width, gate_.rows(), false) {}

at::Tensor FeedForward::operator()(const at::Tensor& x) const {
  return down_(at::silu(gate_(x)).mul(up_(x)));
}

}  // namespace hearth
