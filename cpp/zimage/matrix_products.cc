#include "zimage/matrix_products.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

#include "zimage/device_tensor.h"

namespace hearth {
namespace {

// Below this a product waits for its weights, and all ways are one.
constexpr std::int64_t kMinTokens = 256;
constexpr std::int64_t kMinSide = 1024;
constexpr int kRounds = 3;
// How much faster than the library's guess another way must be: less is noise.
constexpr double kClearly = 0.98;

bool IsPlain(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 && tensor.is_contiguous() &&
         AddressOf(tensor) % 16 == 0;
}

ProductShape ShapeOf(const at::Tensor& x, const at::Tensor& weight) {
  return {x.numel() / weight.size(1), weight.size(0), weight.size(1)};
}

at::Tensor Empty(const at::Tensor& x, const at::Tensor& weight) {
  std::vector<std::int64_t> sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  return at::empty(sizes, x.options());
}

}  // namespace

MatrixProducts::MatrixProducts(std::shared_ptr<const ProductLibrary> library, Timer timer)
    : library_(std::move(library)), timer_(std::move(timer)) {}

bool MatrixProducts::Takes(const at::Tensor& x, const at::Tensor& weight) const {
  return library_ != nullptr && IsPlain(x) && IsPlain(weight) && x.device() == weight.device() &&
         x.numel() / weight.size(1) >= kMinTokens &&
         std::min(weight.size(0), weight.size(1)) >= kMinSide;
}

std::optional<at::Tensor> MatrixProducts::Multiply(const at::Tensor& x,
                                                   const at::Tensor& weight) const {
  const Trial trial{ShapeOf(x, weight), x, weight};
  Choice choice;
  {
    // Held over the trial: two at once would time each other.
    MutexLock lock(mutex_);
    const auto found = choices_.find(trial.shape);
    choice = found != choices_.end() ? found->second
                                     : choices_.emplace(trial.shape, Choose(trial)).first->second;
  }
  if (!choice) return std::nullopt;
  at::Tensor out = Empty(x, weight);
  if (!Compute(trial, *choice, out)) return std::nullopt;
  return out;
}

MatrixProducts::Choice MatrixProducts::Choose(const Trial& trial) const {
  const std::vector<ProductAlgorithm> candidates = library_->Candidates(trial.shape);
  const at::Tensor guessed = Empty(trial.x, trial.weight);
  if (candidates.empty() || !Compute(trial, candidates.front(), guessed)) return std::nullopt;
  std::vector<ProductAlgorithm> equal{candidates.front()};
  for (std::size_t i = 1; i < candidates.size(); ++i) {
    const at::Tensor out = Empty(trial.x, trial.weight);
    if (Compute(trial, candidates[i], out) && at::equal(out, guessed)) {
      equal.push_back(candidates[i]);
    }
  }
  return Fastest(trial, equal);
}

MatrixProducts::Choice MatrixProducts::Fastest(const Trial& trial,
                                               const std::vector<ProductAlgorithm>& equal) const {
  if (equal.size() == 1) return equal.front();
  const at::Tensor out = Empty(trial.x, trial.weight);
  std::vector<double> best(equal.size(), std::numeric_limits<double>::infinity());
  for (int round = 0; round < kRounds; ++round) {  // in turn, as the device's clock drifts
    for (std::size_t i = 0; i < equal.size(); ++i) {
      const double ms = timer_(trial.x, [&] { Compute(trial, equal[i], out); });
      best[i] = std::min(best[i], ms);
    }
  }
  const auto fastest = std::min_element(best.begin(), best.end());
  if (*fastest > kClearly * best.front()) return equal.front();
  return equal[static_cast<std::size_t>(fastest - best.begin())];
}

bool MatrixProducts::Compute(const Trial& trial, const ProductAlgorithm& algorithm,
                             const at::Tensor& out) const {
  const CuStream stream = out.is_cuda() ? StreamOf(out) : nullptr;  // host memory has none
  return library_->Multiply(trial.shape, algorithm,
                            {AddressOf(trial.x), AddressOf(trial.weight), AddressOf(out)}, stream);
}

double MatrixProducts::DeviceMilliseconds(const at::Tensor& on, const std::function<void()>& work) {
  const c10::DeviceType type = on.device().type();
  const c10::Stream stream = c10::impl::VirtualGuardImpl(type).getStream(on.device());
  c10::Event begin(type, c10::EventFlag::BACKEND_DEFAULT);
  c10::Event end(type, c10::EventFlag::BACKEND_DEFAULT);
  begin.record(stream);
  work();
  end.record(stream);
  end.synchronize();
  return begin.elapsedTime(end);
}

}  // namespace hearth
