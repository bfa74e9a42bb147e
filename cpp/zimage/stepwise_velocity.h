#ifndef HEARTH_ZIMAGE_STEPWISE_VELOCITY_H_
#define HEARTH_ZIMAGE_STEPWISE_VELOCITY_H_

#include <ATen/core/Tensor.h>

#include <deque>
#include <memory>
#include <vector>

#include "zimage/transformer.h"

namespace hearth {

// The velocity for a caller who comes step by step, each time with all inputs, as somebody else's
// sampler does. What no step changes is recognised and computed once: the modulation at every
// level of the schedule, and the captions, by their embeddings' bytes. One thread at a time.
class StepwiseVelocity {
 public:
  // `schedule`: the noise levels that are to come, noisiest first, or an undefined tensor.
  StepwiseVelocity(std::shared_ptr<const Transformer> transformer, const at::Tensor& schedule);

  // batch x channels x height x width of float32. `level`: of one element, not necessarily of the
  // schedule. `embedding`: batch (or 1) x tokens x width; kept, so nobody may write to it.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& level, const at::Tensor& embedding);

 private:
  struct Guide {
    at::Tensor embedding;
    PreparedCaption caption;
    PreparedImage image;
  };
  const Guide& GuideFor(const at::Tensor& x, const at::Tensor& embedding);

  std::shared_ptr<const Transformer> transformer_;
  std::vector<double> schedule_;
  PreparedLevels levels_;
  std::deque<Guide> guides_;
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_STEPWISE_VELOCITY_H_
