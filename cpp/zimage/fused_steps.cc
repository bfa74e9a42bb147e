#include "zimage/fused_steps.h"

#include <ATen/ops/_scaled_dot_product_cudnn_attention.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/silu.h>

#include <tuple>
#include <utility>

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

// Where cuDNN's attention is faster than the FlashAttention 2 that torch would take: Hopper and
// Blackwell's data-centre GPUs.
bool PrefersCudnn(const TransformerKernels& kernels) {
  return kernels.compute_capability() / 10 == 9 || kernels.compute_capability() / 10 == 10;
}

TransformerKernels::Rows RowsOf(const at::Tensor& x, const RmsNorm& norm) {
  return {x.numel() / norm.width(), norm.width(), norm.eps()};
}

}  // namespace

FusedSteps FusedSteps::WithShortProducts(std::shared_ptr<const RowQuantiser> quantiser) const {
  FusedSteps steps = *this;
  steps.quantiser_ = std::move(quantiser);
  return steps;
}

MatrixInput FusedSteps::Input(const at::Tensor& x) const {
  if (!quantiser_) return {x, {}};
  const at::Tensor plain = x.contiguous();
  const std::int64_t width = plain.size(-1);
  const std::int64_t rows = plain.numel() / width;
  MatrixInput input{at::empty_like(plain, plain.options().dtype(at::kFloat8_e4m3fn)),
                    at::empty({rows, 1}, plain.options().dtype(at::kFloat))};
  quantiser_->Run({rows, width, AddressOf(plain), AddressOf(input.values), AddressOf(input.scales)},
                  StreamOf(plain));
  return input;
}

at::Tensor FusedSteps::Product(const Linear& matrix, const MatrixInput& x) const {
  if (products_ && !x.scales.defined() && !matrix.has_bias() &&
      products_->Takes(x.values, matrix.weight())) {
    if (const auto y = products_->Multiply(x.values, matrix.weight())) return *y;
  }
  return matrix(x);
}

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
                        const Entry* next, const Sum& out) const {
  TransformerKernels::GateAddNormArguments arguments{};
  arguments.x = AddressOf(stream);
  arguments.branch = AddressOf(branch);
  if (way.norm != nullptr) arguments.after = AddressOf(way.norm->weight());
  arguments.gate = AddressOf(way.gate);
  if (next != nullptr) {
    arguments.before = AddressOf(next->norm.weight());
    arguments.scale = AddressOf(next->scale);
  }
  arguments.sum = AddressOf(out.stream);
  arguments.out = AddressOf(out.branch);
  const RmsNorm& norm = way.norm != nullptr ? *way.norm : next->norm;
  kernels_->GateAddNorm(RowsOf(stream, norm), arguments, StreamOf(stream));
}

FusedSteps::Sum FusedSteps::Add(const at::Tensor& stream, const at::Tensor& branch,
                                const Return& way, const Entry* next) const {
  const bool has_norm = way.norm != nullptr || next != nullptr;
  const bool is_plain =
      IsPlain(branch) && IsPlainOrNone(way.gate) && (next == nullptr || IsPlainOrNone(next->scale));
  const bool fits = has_norm && is_plain && (way.norm == nullptr || TakesRows(stream, *way.norm)) &&
                    (next == nullptr || TakesRows(stream, next->norm)) &&
                    (way.norm == nullptr || next == nullptr || way.norm->eps() == next->norm.eps());
  Sum out;
  if (fits) {
    out.stream = at::empty_like(stream);
    if (next != nullptr) out.branch = at::empty_like(stream);
    Launch(stream, branch, way, next, out);
    return out;
  }
  out.stream = stream.add(Times(way.norm != nullptr ? (*way.norm)(branch) : branch, way.gate));
  if (next != nullptr) out.branch = Enter(out.stream, *next);
  return out;
}

bool FusedSteps::TakesHeads(const Heads& heads, const RopeTable& rope) const {
  const at::Tensor& values = heads.values;
  return kernels_ && values.is_cuda() && values.scalar_type() == at::kBFloat16 &&
         values.size(3) == TransformerKernels::kHeadWidth && values.stride(3) == 1 &&
         values.stride(2) == TransformerKernels::kHeadWidth &&
         (values.size(0) == 1 || values.stride(0) == values.size(1) * values.stride(1)) &&
         values.stride(1) % kAlignment == 0 && AddressOf(values) % 16 == 0 &&
         IsPlain(heads.norm.weight()) && rope.cos.is_contiguous() && rope.sin.is_contiguous() &&
         rope.tokens() == values.size(1);
}

FusedSteps::Turned FusedSteps::NormAndTurn(const Heads& queries, const Heads& keys,
                                           const RopeTable& rope) const {
  if (!TakesHeads(queries, rope) || !TakesHeads(keys, rope) ||
      queries.norm.eps() != keys.norm.eps()) {
    const auto turned = [&rope](const Heads& heads) {
      const at::Tensor normed = heads.norm(heads.values.to(at::kFloat));
      return hearth::Turned(normed, rope).to(heads.values.scalar_type()).transpose(1, 2);
    };
    return {turned(queries), turned(keys)};
  }
  const auto places = [](const Heads& heads) {
    return TransformerKernels::Heads{AddressOf(heads.values), AddressOf(heads.norm.weight()),
                                     static_cast<int>(heads.values.stride(1)),
                                     static_cast<int>(heads.values.size(2))};
  };
  const at::Tensor& values = queries.values;
  const TransformerKernels::Angles angles{AddressOf(rope.cos), AddressOf(rope.sin),
                                          static_cast<int>(rope.tokens()),
                                          rope.pairs == RopePairs::kHalves ? 1 : 0};
  kernels_->HeadNormTurn(
      {values.size(0) * values.size(1), places(queries), places(keys), angles, queries.norm.eps()},
      StreamOf(values));
  return {queries.values.transpose(1, 2), keys.values.transpose(1, 2)};
}

at::Tensor FusedSteps::Attend(const Attended& parts) const {
  const bool is_shared = parts.queries.size(1) != parts.keys.size(1);
  if (kernels_ && PrefersCudnn(*kernels_) && parts.queries.is_cuda() && !parts.is_causal &&
      !is_shared && parts.queries.scalar_type() == at::kBFloat16) {
    return std::get<0>(at::_scaled_dot_product_cudnn_attention(
        parts.queries, parts.keys, parts.values, {}, /*compute_log_sumexp=*/false));
  }
  return at::scaled_dot_product_attention(parts.queries, parts.keys, parts.values,
                                          /*attn_mask=*/{}, /*dropout_p=*/0.0, parts.is_causal,
                                          /*scale=*/std::nullopt, /*enable_gqa=*/is_shared);
}

at::Tensor FusedSteps::SiluMul(const at::Tensor& gate, const at::Tensor& up) const {
  if (!kernels_ || !IsPlain(gate) || !IsPlain(up) || gate.numel() % kAlignment != 0) {
    return at::silu(gate).mul(up);
  }
  kernels_->SiluMul(AddressOf(gate), AddressOf(up), gate.numel(), StreamOf(gate));
  return gate;
}

}  // namespace hearth
