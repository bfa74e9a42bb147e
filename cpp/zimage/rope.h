#ifndef HEARTH_ZIMAGE_ROPE_H_
#define HEARTH_ZIMAGE_ROPE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace hearth {

// Which elements of a head are turned together: 2k and 2k+1, or k and k + width/2.
enum class RopePairs { kNeighbours, kHalves };

// Rotary position embedding: Su et al., "RoFormer" (2021), arXiv:2104.09864. Pair k of a head's
// elements is turned by position * frequency(k).
struct RopeTable {
  at::Tensor cos;  // tokens x 1 x pairs, float32
  at::Tensor sin;
  RopePairs pairs;

  std::int64_t tokens() const { return cos.size(0); }
};

// The tables of two sequences of one kind, one behind the other.
RopeTable Joined(const RopeTable& first, const RopeTable& second);

// Of positions with several axes (tokens x axes, float64): each axis has its own pairs, half of
// `widths[axis]` of them, with frequencies theta^(-2j / width).
RopeTable AxesRope(const at::Tensor& positions, at::IntArrayRef widths, double theta);

// Of positions 0 … tokens-1 on one axis, computed in float32 as Qwen's references do.
RopeTable SequenceRope(std::int64_t tokens, std::int64_t width, double theta, at::Device device);

// `x`: batch x tokens x heads x width, of any float type, which the result has too.
at::Tensor Turned(const at::Tensor& x, const RopeTable& table);

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_ROPE_H_
