#include "device/vae_kernels.h"

#include <utility>

namespace hearth {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kSoftmaxThreads = 512;
constexpr std::int64_t kPerLoad = 8;
constexpr std::int64_t kLoads = 4;  // of a thread that holds several: kHeld in the text
constexpr std::int64_t kMomentsBytes = 8;

// Of kThreads threads that have `per_thread` eights each.
unsigned Blocks(std::int64_t eights, std::int64_t per_thread) {
  const std::int64_t of_block = per_thread * kThreads;
  return static_cast<unsigned>((eights + of_block - 1) / of_block);
}

// As the text has it, GroupApplyArguments.
struct ApplyArguments {
  CuAddress x, scales, weight, bias, added, out;
};

}  // namespace

VaeKernels::VaeKernels(std::shared_ptr<const CudaDevice> device)
    : module_(std::move(device), VaeKernelText(), "vae.cu"),
      moments_(module_.Find("GroupMoments")),
      scales_(module_.Find("GroupScales")),
      apply_(module_.Find("GroupApply")),
      sum_(module_.Find("SumWithBias")),
      double_(module_.Find("DoubleSize")),
      softmax_(module_.Find("ScaledSoftmax")) {}

void VaeKernels::Norm(const Images& images, const NormArguments& arguments, CuStream stream) const {
  NormArguments at = arguments;
  CuAddress scales =
      at.room + static_cast<CuAddress>(images.count * kParts * kGroups * kMomentsBytes);
  int pixels = static_cast<int>(images.pixels);
  int channels = static_cast<int>(images.channels);
  int parts = kParts;
  auto eps = static_cast<float>(images.eps);
  int has_silu = images.has_silu ? 1 : 0;
  const auto count = static_cast<unsigned>(images.count);
  void* moments_list[] = {&at.x, &at.added, &at.room, &pixels, &channels, &parts};
  module_.Launch(moments_, {kParts, count, kThreads}, stream, moments_list);
  void* scales_list[] = {&at.room, &scales, &pixels, &channels, &parts, &eps};
  module_.Launch(scales_, {kGroups, count, kGroups}, stream, scales_list);
  ApplyArguments apply{at.x, scales, at.weight, at.bias, at.added, at.out};
  void* apply_list[] = {&apply, &pixels, &channels, &has_silu};
  const unsigned blocks = Blocks(images.pixels * images.channels / kPerLoad, kLoads);
  module_.Launch(apply_, {blocks, count, kThreads}, stream, apply_list);
}

void VaeKernels::Sum(std::int64_t pixels, std::int64_t channels, const SumArguments& arguments,
                     CuStream stream) const {
  SumArguments at = arguments;
  int width = static_cast<int>(channels);
  long long eights = pixels * channels / kPerLoad;
  void* list[] = {&at, &width, &eights};
  module_.Launch(sum_, {Blocks(eights, kLoads), 1, kThreads}, stream, list);
}

void VaeKernels::Double(const Rows& rows, CuAddress x, CuAddress out, CuStream stream) const {
  int width = static_cast<int>(rows.width);
  int channels = static_cast<int>(rows.channels);
  void* list[] = {&x, &out, &width, &channels};
  const unsigned blocks = Blocks(rows.width * rows.channels / kPerLoad, 1);
  module_.Launch(double_, {blocks, static_cast<unsigned>(rows.count), kThreads}, stream, list);
}

void VaeKernels::Softmax(const Scores& scores, CuAddress from, CuAddress out,
                         CuStream stream) const {
  int eights = static_cast<int>(scores.columns / kPerLoad);
  auto scale = static_cast<float>(scores.scale);
  void* list[] = {&from, &out, &eights, &scale};
  module_.Launch(softmax_, {static_cast<unsigned>(scores.rows), 1, kSoftmaxThreads}, stream, list);
}

}  // namespace hearth
