#include "zimage/feed_forward.h"

#include <utility>

namespace hearth {

FeedForward::FeedForward(const WeightScope& scope, std::int64_t width, const Names& names,
                         FusedSteps steps)
    : gate_(scope.Under(names.gate), kAnySize, width, false),
      up_(scope.Under(names.up), gate_.rows(), width, false),
      down_(scope.Under(names.down), width, gate_.rows(), false),
      steps_(std::move(steps)) {}

at::Tensor FeedForward::operator()(const at::Tensor& x) const {
  return down_(steps_.SiluMul(gate_(x), up_(x)));
}

}  // namespace hearth
