#include "zimage/feed_forward.h"

#include <utility>

namespace hearth {

FeedForward::FeedForward(const WeightScope& scope, std::int64_t width, const Names& names,
                         FusedSteps steps)
    : gate_(scope.Under(names.gate), kAnySize, width, false),
      up_(scope.Under(names.up), gate_.rows(), width, false),
      down_(scope.Under(names.down), width, gate_.rows(), false),
      steps_(std::move(steps)) {
  if (!steps_.has_short_products()) return;
  gate_.Quantise();
  up_.Quantise();
  down_.Quantise();
}

at::Tensor FeedForward::operator()(const at::Tensor& x) const {
  const MatrixInput input = steps_.Input(x);
  return steps_.Product(down_, steps_.Input(steps_.SiluMul(steps_.Product(gate_, input),
                                                           steps_.Product(up_, input))));
}

}  // namespace hearth
