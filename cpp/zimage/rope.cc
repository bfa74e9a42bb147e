#include "zimage/rope.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/stack.h>

#include <cstddef>
#include <vector>

namespace hearth {
namespace {

RopeTable TableOf(const at::Tensor& angles, RopePairs pairs) {
  // A dimension of one for the heads, which all turn alike.
  return {angles.cos().to(at::kFloat).unsqueeze(1), angles.sin().to(at::kFloat).unsqueeze(1),
          pairs};
}

at::Tensor TurnNeighbours(const at::Tensor& x, const RopeTable& table) {
  const at::Tensor pairs = x.to(at::kFloat).unflatten(-1, {-1, 2});
  const at::Tensor first = pairs.select(-1, 0);
  const at::Tensor second = pairs.select(-1, 1);
  const at::Tensor turned_first = first.mul(table.cos).sub(second.mul(table.sin));
  const at::Tensor turned_second = first.mul(table.sin).add(second.mul(table.cos));
  return at::stack({turned_first, turned_second}, -1).flatten(-2).to(x.scalar_type());
}

at::Tensor TurnHalves(const at::Tensor& x, const RopeTable& table) {
  const std::int64_t pairs = table.cos.size(-1);
  const at::Tensor first = x.narrow(-1, 0, pairs);
  const at::Tensor second = x.narrow(-1, pairs, pairs);
  // The tables are float32, and so is the product: rounded once, at the end.
  const at::Tensor turned_first = first.mul(table.cos).sub(second.mul(table.sin));
  const at::Tensor turned_second = second.mul(table.cos).add(first.mul(table.sin));
  return at::cat({turned_first, turned_second}, -1).to(x.scalar_type());
}

}  // namespace

RopeTable Joined(const RopeTable& first, const RopeTable& second) {
  return {at::cat({first.cos, second.cos}), at::cat({first.sin, second.sin}), first.pairs};
}

RopeTable AxesRope(const at::Tensor& positions, at::IntArrayRef widths, double theta) {
  std::vector<at::Tensor> angles;
  for (std::size_t axis = 0; axis < widths.size(); ++axis) {
    const auto width = static_cast<double>(widths[axis]);
    const at::Tensor exponents =
        at::linspace(0.0, (width - 2.0) / width, widths[axis] / 2, positions.options());
    const at::Tensor frequencies = at::pow(theta, exponents).reciprocal();
    angles.push_back(at::outer(positions.select(1, static_cast<std::int64_t>(axis)), frequencies));
  }
  return TableOf(at::cat(angles, 1), RopePairs::kNeighbours);
}

RopeTable SequenceRope(std::int64_t tokens, std::int64_t width, double theta, at::Device device) {
  const auto options = at::TensorOptions(at::kFloat).device(device);
  const at::Tensor exponents = at::arange(0, width, 2, options).div(static_cast<double>(width));
  const at::Tensor frequencies = at::pow(theta, exponents).reciprocal();
  return TableOf(at::outer(at::arange(tokens, options), frequencies), RopePairs::kHalves);
}

at::Tensor Turned(const at::Tensor& x, const RopeTable& table) {
  return table.pairs == RopePairs::kNeighbours ? TurnNeighbours(x, table) : TurnHalves(x, table);
}

}  // namespace hearth
