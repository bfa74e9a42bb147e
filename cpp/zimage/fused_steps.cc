#include "zimage/fused_steps.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/silu.h>

#include "zimage/device_tensor.h"

namespace hearth {
namespace {

constexpr std::int64_t kAlignment = 8;  // elements that a thread reads at once

bool IsPlain(const at::Tensor& tensor) {
  return tensor.is_cuda() && tensor.scalar_type() == at::kBFloat16 && tensor.is_contiguous() &&
         AddressOf(tensor) % 16 == 0;
}

bool IsPlainOrNone(const at::Tensor& tensor) { return !tensor.defined() || IsPlain(tensor); }

at::Tensor Times(const at::Tensor& x, const at::Tensor& factor) {
  return factor.defined() ? x.mul(factor) : x;
}

TransformerKernels::Rows RowsOf(const at::Tensor& x, const RmsNorm& norm) {
  return {x.numel() / norm.width(), norm.width(), norm.eps()};
}

}  // namespace

bool FusedSteps::TakesRows(const at::Tensor& x, const RmsNorm& norm) const {
  return kernels_ && IsPlain(x) && IsPlain(norm.weight()) && norm.width() % kAlignment == 0 &&
         norm.width() <= TransformerKernels::kMaxWidth;
}

at::Tensor FusedSteps::Enter(const at::Tensor& stream, const Entry& entry) const {
  if (!TakesRows(stream, entry.norm) || !IsPlainOrNone(entry.scale)) {
    return Times(entry.norm(stream), entry.scale);
  }
  at::Tensor out = at::empty_like(stream);
  kernels_->NormScale(
      RowsOf(stream, entry.norm),
      {AddressOf(stream), AddressOf(entry.norm.weight()), AddressOf(entry.scale), AddressOf(out)},
      StreamOf(stream));
  return out;
}

void FusedSteps::Launch(const at::Tensor& stream, const at::Tensor& branch, const Return& way,
                        const Entry* entry, const Sum& out) const {
  TransformerKernels::GateAddNormArguments arguments{};
  arguments.x = AddressOf(stream);
  arguments.branch = AddressOf(branch);
  arguments.after = AddressOf(way.norm.weight());
  arguments.gate = AddressOf(way.gate);
  if (entry != nullptr) {
    arguments.before = AddressOf(entry->norm.weight());
    arguments.scale = AddressOf(entry->scale);
  }
  arguments.sum = AddressOf(out.stream);
  arguments.out = AddressOf(out.branch);
  kernels_->GateAddNorm(RowsOf(stream, way.norm), arguments, StreamOf(stream));
}

at::Tensor FusedSteps::Add(const at::Tensor& stream, const at::Tensor& branch,
                           const Return& way) const {
  if (!TakesRows(stream, way.norm) || !IsPlain(branch) || !IsPlainOrNone(way.gate)) {
    return stream.add(Times(way.norm(branch), way.gate));
  }
  Sum out{at::empty_like(stream), {}};
  Launch(stream, branch, way, nullptr, out);
  return out.stream;
}

FusedSteps::Sum FusedSteps::AddAndEnter(const at::Tensor& stream, const at::Tensor& branch,
                                        const Return& way, const Entry& entry) const {
  const bool fits = TakesRows(stream, way.norm) && IsPlain(branch) && IsPlainOrNone(way.gate) &&
                    TakesRows(stream, entry.norm) && IsPlainOrNone(entry.scale) &&
                    way.norm.eps() == entry.norm.eps();
  if (!fits) {
    const at::Tensor sum = Add(stream, branch, way);
    return {sum, Enter(sum, entry)};
  }
  Sum out{at::empty_like(stream), at::empty_like(stream)};
  Launch(stream, branch, way, &entry, out);
  return out;
}

bool FusedSteps::TakesHeads(const at::Tensor& heads, const RmsNorm& norm,
                            const RopeTable& rope) const {
  return kernels_ && heads.is_cuda() && heads.scalar_type() == at::kBFloat16 &&
         heads.size(3) == TransformerKernels::kHeadWidth && heads.stride(3) == 1 &&
         heads.stride(2) == TransformerKernels::kHeadWidth &&
         (heads.size(0) == 1 || heads.stride(0) == heads.size(1) * heads.stride(1)) &&
         heads.stride(1) % kAlignment == 0 && AddressOf(heads) % 16 == 0 &&
         IsPlain(norm.weight()) && rope.cos.is_contiguous() && rope.sin.is_contiguous() &&
         rope.tokens() == heads.size(1);
}

at::Tensor FusedSteps::NormAndTurn(const at::Tensor& heads, const RmsNorm& norm,
                                   const RopeTable& rope) const {
  if (!TakesHeads(heads, norm, rope)) {
    const at::Tensor normed = norm(heads.to(at::kFloat));
    return TurnNeighbours(normed, rope).to(heads.scalar_type()).transpose(1, 2);
  }
  const TransformerKernels::Heads places{heads.size(0) * heads.size(1), heads.stride(1),
                                         heads.size(2), heads.size(1), norm.eps()};
  kernels_->HeadNormTurn(
      places,
      {AddressOf(heads), AddressOf(norm.weight()), AddressOf(rope.cos), AddressOf(rope.sin)},
      StreamOf(heads));
  return heads.transpose(1, 2);
}

at::Tensor FusedSteps::SiluMul(const at::Tensor& gate, const at::Tensor& up) const {
  if (!kernels_ || !IsPlain(gate) || !IsPlain(up) || gate.numel() % kAlignment != 0) {
    return at::silu(gate).mul(up);
  }
  kernels_->SiluMul(AddressOf(gate), AddressOf(up), gate.numel(), StreamOf(gate));
  return gate;
}

}  // namespace hearth
