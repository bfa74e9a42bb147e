#ifndef HEARTH_ZIMAGE_MODULATION_H_
#define HEARTH_ZIMAGE_MODULATION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

#include "weights/weight_scope.h"
#include "zimage/linear.h"

namespace hearth {

// What one block multiplies with at one noise level; each of the block's width.
struct BlockGates {
  at::Tensor attention_scale;  // 1 + scale
  at::Tensor attention_gate;   // tanh(gate)
  at::Tensor feed_scale;
  at::Tensor feed_gate;
};

// The same at several noise levels, each with one row.
class GateRows {
 public:
  // `raw`: levels x (4 widths), in the order of the file: scale and gate of the attention, then
  // those of the feed forward.
  explicit GateRows(const at::Tensor& raw);
  // What scales() and gates() of another one gave.
  GateRows(at::Tensor scales, at::Tensor gates)
      : scales_(std::move(scales)), gates_(std::move(gates)) {}

  // REQUIRES: 0 <= level < what `raw` had.
  BlockGates at(std::int64_t level) const;
  const at::Tensor& scales() const { return scales_; }  // levels x 2 x width
  const at::Tensor& gates() const { return gates_; }

 private:
  at::Tensor scales_;
  at::Tensor gates_;
};

// From noise levels to the vectors that every block's modulation is made of.
class TimeEmbedder {
 public:
  // Throws CheckpointMismatch.
  explicit TimeEmbedder(const WeightScope& scope);

  // `sigmas`: one row, float32. The model counts time the other way, 0 (noise) to 1000 (image).
  // levels x width(), in `type`.
  at::Tensor operator()(const at::Tensor& sigmas, at::ScalarType type) const;
  std::int64_t width() const { return second_.rows(); }

 private:
  Linear first_;
  Linear second_;
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_MODULATION_H_
