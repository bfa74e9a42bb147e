#include "device/group_norm_kernels.h"

#include <utility>

namespace hearth {
namespace {

constexpr unsigned kThreads = 256;
constexpr std::int64_t kPerThread = 8;
constexpr std::int64_t kMomentsBytes = 8;

}  // namespace

GroupNormKernels::GroupNormKernels(std::shared_ptr<const CudaDevice> device)
    : module_(std::move(device), GroupNormKernelText(), "group_norm.cu"),
      moments_(module_.Find("GroupMoments")),
      scales_(module_.Find("GroupScales")),
      apply_(module_.Find("GroupApply")) {}

void GroupNormKernels::Run(const Images& images, const Arguments& arguments,
                           CuStream stream) const {
  Arguments at = arguments;
  CuAddress scales =
      at.room + static_cast<CuAddress>(images.count * kParts * kGroups * kMomentsBytes);
  int pixels = static_cast<int>(images.pixels);
  int channels = static_cast<int>(images.channels);
  int parts = kParts;
  auto eps = static_cast<float>(images.eps);
  long long eights = images.count * images.pixels * images.channels / kPerThread;
  int has_silu = images.has_silu ? 1 : 0;
  const auto count = static_cast<unsigned>(images.count);
  void* moments_list[] = {&at.x, &at.room, &pixels, &channels, &parts};
  module_.Launch(moments_, {kParts, count, kThreads}, stream, moments_list);
  void* scales_list[] = {&at.room, &scales, &pixels, &channels, &parts, &eps};
  module_.Launch(scales_, {kGroups, count, kGroups}, stream, scales_list);
  void* apply_list[] = {&at.x,   &scales,   &at.weight, &at.bias, &at.out,
                        &pixels, &channels, &eights,    &has_silu};
  const auto blocks = static_cast<unsigned>((eights + kThreads - 1) / kThreads);
  module_.Launch(apply_, {blocks, 1, kThreads}, stream, apply_list);
}

}  // namespace hearth
