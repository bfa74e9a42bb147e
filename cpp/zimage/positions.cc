#include "zimage/positions.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

namespace hearth {
namespace {

constexpr double kTheta = 256.0;

RopeTable OnDevice(const at::Tensor& positions, std::int64_t head_width, at::Device device) {
  // In float64 on the host, once an image: not every device has it.
  const RopeTable table = AxesRope(positions, RopeWidths(head_width), kTheta);
  return {table.cos.to(device), table.sin.to(device), table.pairs};
}

}  // namespace

std::vector<std::int64_t> RopeWidths(std::int64_t head_width) {
  return {head_width / 4, head_width * 3 / 8, head_width * 3 / 8};
}

RopeTable CaptionRope(std::int64_t tokens, std::int64_t head_width, at::Device device) {
  const at::Tensor sequence = at::arange(1, tokens + 1, at::kDouble);
  const at::Tensor zeros = at::zeros({tokens}, at::kDouble);
  return OnDevice(at::stack({sequence, zeros, zeros}, 1), head_width, device);
}

RopeTable ImageRope(const ImagePlace& place, std::int64_t head_width, at::Device device) {
  const std::int64_t tokens = place.rows * place.columns;
  const at::Tensor sequence =
      at::full({tokens}, static_cast<double>(place.caption_tokens + 1), at::kDouble);
  const at::Tensor rows = at::arange(place.rows, at::kDouble).repeat_interleave(place.columns);
  const at::Tensor columns = at::arange(place.columns, at::kDouble).repeat({place.rows});
  const at::Tensor positions = at::stack({sequence, rows, columns}, 1);
  const std::int64_t padding = RoundedUp(tokens) - tokens;
  return OnDevice(at::constant_pad_nd(positions, {0, 0, 0, padding}), head_width, device);
}

}  // namespace hearth
