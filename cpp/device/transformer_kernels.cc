#include "device/transformer_kernels.h"

#include <algorithm>
#include <utility>

namespace hearth {
namespace {

constexpr std::int64_t kPerThread = 8;
constexpr std::int64_t kWarp = 32;
constexpr std::int64_t kHeld = 4;  // as in the text
constexpr std::int64_t kThreadsOfHead = 16;
constexpr unsigned kHeadThreads = 128;
constexpr std::int64_t kBlocksAtOnce = 3;  // by the registers that one of GateAddNorm takes
constexpr std::int64_t kFlatThreads = 256;

std::int64_t Quotient(std::int64_t all, std::int64_t part) { return (all + part - 1) / part; }

unsigned ThreadsOfRow(std::int64_t width) {
  return static_cast<unsigned>(Quotient(width / kPerThread, kHeld * kWarp) * kWarp);
}

}  // namespace

TransformerKernels::TransformerKernels(std::shared_ptr<const CudaDevice> device)
    : compute_capability_(device->ComputeCapability()),
      blocks_at_once_(kBlocksAtOnce * device->Attribute(kCuAttributeMultiprocessors)),
      module_(std::move(device), TransformerKernelText(), "transformer.cu"),
      norm_scale_(module_.Find("NormScale")),
      gate_add_norm_(module_.Find("GateAddNorm")),
      head_norm_turn_(module_.Find("HeadNormTurn")),
      silu_mul_(module_.Find("SiluMul")) {}

void TransformerKernels::NormScale(const Rows& rows, const NormScaleArguments& arguments,
                                   CuStream stream) const {
  NormScaleArguments copy = arguments;
  int eights = static_cast<int>(rows.width / kPerThread);
  auto eps = static_cast<float>(rows.eps);
  void* list[] = {&copy.x, &copy.weight, &copy.scale, &copy.out, &eights, &eps};
  module_.Launch(norm_scale_, {static_cast<unsigned>(rows.count), 1, ThreadsOfRow(rows.width)},
                 stream, list);
}

void TransformerKernels::GateAddNorm(const Rows& rows, const GateAddNormArguments& arguments,
                                     CuStream stream) const {
  GateAddNormArguments copy = arguments;
  int count = static_cast<int>(rows.count);
  int eights = static_cast<int>(rows.width / kPerThread);
  auto eps = static_cast<float>(rows.eps);
  void* list[] = {&copy, &count, &eights, &eps};
  const auto blocks = static_cast<unsigned>(std::min(rows.count, blocks_at_once_));
  module_.Launch(gate_add_norm_, {blocks, 1, ThreadsOfRow(rows.width)}, stream, list);
}

void TransformerKernels::HeadNormTurn(const HeadNormTurnArguments& arguments,
                                      CuStream stream) const {
  HeadNormTurnArguments copy = arguments;
  auto eps = static_cast<float>(arguments.eps);
  void* list[] = {&copy.queries, &copy.keys, &copy.angles, &eps};
  const std::int64_t pairs = Quotient(arguments.queries.count + arguments.keys.count, 2);
  const auto blocks = static_cast<unsigned>(Quotient(pairs, kHeadThreads / kThreadsOfHead));
  module_.Launch(head_norm_turn_, {static_cast<unsigned>(arguments.rows), blocks, kHeadThreads},
                 stream, list);
}

void TransformerKernels::SiluMul(CuAddress gate, CuAddress up, std::int64_t elements,
                                 CuStream stream) const {
  long long eights = elements / kPerThread;
  void* list[] = {&gate, &up, &eights};
  const auto blocks = static_cast<unsigned>(Quotient(eights, kFlatThreads));
  module_.Launch(silu_mul_, {blocks, 1, kFlatThreads}, stream, list);
}

}  // namespace hearth
