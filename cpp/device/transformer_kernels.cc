#include "device/transformer_kernels.h"

#include <utility>

#include "device/kernel_compiler.h"

namespace hearth {
namespace {

constexpr int kAttributeComputeMajor = 75;
constexpr int kAttributeComputeMinor = 76;
constexpr std::int64_t kPerThread = 8;
constexpr std::int64_t kWarp = 32;
constexpr std::int64_t kWarpsOfHeads = 8;
constexpr std::int64_t kFlatThreads = 256;

std::int64_t Quotient(std::int64_t all, std::int64_t part) { return (all + part - 1) / part; }

unsigned ThreadsOfRow(std::int64_t width) {
  return static_cast<unsigned>(Quotient(width / kPerThread, kWarp) * kWarp);
}

std::string ArchitectureOf(const CudaDevice& device) {
  return "sm_" + std::to_string(device.Attribute(kAttributeComputeMajor)) +
         std::to_string(device.Attribute(kAttributeComputeMinor));
}

}  // namespace

TransformerKernels::TransformerKernels(std::shared_ptr<const CudaDevice> device)
    : device_(std::move(device)) {
  const std::string image =
      CompileKernels(TransformerKernelText(), "transformer.cu", ArchitectureOf(*device_));
  const CurrentDevice current(*device_);
  device_->driver().Check(device_->api().module_load(&module_, image.data()), "cuModuleLoadData",
                          device_->Where("loading the kernels"));
  norm_scale_ = Find("NormScale");
  gate_add_norm_ = Find("GateAddNorm");
  head_norm_turn_ = Find("HeadNormTurn");
  silu_mul_ = Find("SiluMul");
}

CuFunction TransformerKernels::Find(const char* name) const {
  CuFunction function = nullptr;
  device_->driver().Check(device_->api().module_get_function(&function, module_, name),
                          "cuModuleGetFunction", device_->Where("looking for a kernel"));
  return function;
}

void TransformerKernels::Launch(CuFunction function, const Grid& grid, CuStream stream,
                                void** arguments) const {
  const CurrentDevice current(*device_);
  device_->driver().Check(device_->api().launch_kernel(function, grid.x, grid.y, 1, grid.threads, 1,
                                                       1, 0, stream, arguments, nullptr),
                          "cuLaunchKernel", device_->Where("starting a kernel"));
}

void TransformerKernels::NormScale(const Rows& rows, const NormScaleArguments& arguments,
                                   CuStream stream) const {
  NormScaleArguments copy = arguments;
  int eights = static_cast<int>(rows.width / kPerThread);
  auto eps = static_cast<float>(rows.eps);
  void* list[] = {&copy.x, &copy.weight, &copy.scale, &copy.out, &eights, &eps};
  Launch(norm_scale_, {static_cast<unsigned>(rows.count), 1, ThreadsOfRow(rows.width)}, stream,
         list);
}

void TransformerKernels::GateAddNorm(const Rows& rows, const GateAddNormArguments& arguments,
                                     CuStream stream) const {
  GateAddNormArguments copy = arguments;
  int eights = static_cast<int>(rows.width / kPerThread);
  auto eps = static_cast<float>(rows.eps);
  void* list[] = {&copy.x,     &copy.branch, &copy.after, &copy.gate, &copy.before,
                  &copy.scale, &copy.sum,    &copy.out,   &eights,    &eps};
  Launch(gate_add_norm_, {static_cast<unsigned>(rows.count), 1, ThreadsOfRow(rows.width)}, stream,
         list);
}

void TransformerKernels::HeadNormTurn(const Heads& heads, const HeadNormTurnArguments& arguments,
                                      CuStream stream) const {
  HeadNormTurnArguments copy = arguments;
  int stride = static_cast<int>(heads.stride);
  int count = static_cast<int>(heads.count);
  int tokens = static_cast<int>(heads.tokens);
  auto eps = static_cast<float>(heads.eps);
  void* list[] = {&copy.x,       &stride,     &count,  &copy.weight,
                  &copy.cosines, &copy.sines, &tokens, &eps};
  const auto blocks = static_cast<unsigned>(Quotient(heads.count, kWarpsOfHeads));
  Launch(head_norm_turn_, {static_cast<unsigned>(heads.rows), blocks, kWarpsOfHeads * kWarp},
         stream, list);
}

void TransformerKernels::SiluMul(CuAddress gate, CuAddress up, std::int64_t elements,
                                 CuStream stream) const {
  long long eights = elements / kPerThread;
  void* list[] = {&gate, &up, &eights};
  const auto blocks = static_cast<unsigned>(Quotient(eights, kFlatThreads));
  Launch(silu_mul_, {blocks, 1, kFlatThreads}, stream, list);
}

}  // namespace hearth
