#include "runtime_torch/engine_model.h"

#include <chrono>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace hearth {
namespace {

constexpr std::chrono::duration<double> kBetweenQuestions(0.1);

bool HasBelow(const CheckpointTensors& tensors, std::string_view prefix) {
  const auto first = tensors.all().lower_bound(prefix);
  return first != tensors.all().end() && first->first.starts_with(prefix);
}

std::uint64_t SizeOf(const CheckpointTensors& tensors) {
  std::uint64_t bytes = 0;
  for (const auto& [name, tensor] : tensors.all()) {
    if (tensor.defined()) bytes += tensor.nbytes();
  }
  return bytes;
}

}  // namespace

EngineModel::EngineModel(CheckpointTensors tensors, ModelKind kind,
                         const EnginePlacement& placement)
    : tensors_(std::move(tensors)), kind_(kind), placement_(placement) {
  parts_ = MakeParts();
}

EngineParts EngineModel::MakeParts() const {
  const bool is_whole = kind_ == ModelKind::kCheckpoint;
  const at::Device device = placement_.device;
  const at::ScalarType type = placement_.compute_type;
  // Each part keeps all of them.
  const std::shared_ptr<const EngineKernels>& kernels = placement_.kernels;
  EngineParts parts;
  if (is_whole || kind_ == ModelKind::kDiffusionModel) {
    TransformerOptions options{.compute_type = type, .device = device};
    if (kernels) options.kernels = {kernels, &kernels->transformer};
    if (kernels) options.products = kernels->products;
    if (placement_.has_short_products) options.quantiser = {kernels, kernels->quantiser.get()};
    parts.transformer = std::make_shared<Transformer>(tensors_, options);
    if (kernels) parts.programs = std::make_shared<VelocityPrograms>(*parts.transformer);
  }
  if (kind_ == ModelKind::kTextEncoder || (is_whole && HasBelow(tensors_, "text_encoders."))) {
    TextEncoderOptions options{.compute_type = type, .device = device};
    if (kernels) options.kernels = {kernels, &kernels->transformer};
    parts.text_encoder = std::make_shared<TextEncoder>(tensors_, options);
  }
  const bool has_vae = HasBelow(tensors_, "vae.") || HasBelow(tensors_, "first_stage_model.");
  if (kind_ == ModelKind::kVae || (is_whole && has_vae)) {
    VaeOptions options{.compute_type = type, .device = device};
    if (kernels) options.kernels = {kernels, &kernels->vae};
    parts.vae = std::make_shared<VaeDecoder>(tensors_, options);
  }
  return parts;
}

EngineParts EngineModel::Parts() {
  MutexLock lock(mutex_);
  if (!parts_) parts_ = MakeParts();
  return *parts_;
}

TierBytes EngineModel::BytesWith(bool on_device) const {
  const std::uint64_t size = SizeOf(tensors_);
  return {.mapped = size, .device = on_device && !placement_.device.is_cpu() ? size : 0};
}

TierBytes EngineModel::bytes() const {
  MutexLock lock(mutex_);
  return BytesWith(parts_.has_value());
}

ReleaseOutcome EngineModel::Release() noexcept {
  MutexLock lock(mutex_);
  parts_.reset();
  return {};
}

std::optional<TierBytes> EngineModel::Demote() noexcept {
  if (placement_.device.is_cpu()) return std::nullopt;
  MutexLock lock(mutex_);
  parts_.reset();
  return BytesWith(false);
}

LoadedModel EngineLoader::Load(const ModelKey& key) {
  std::vector<HostFileHandle> files;
  for (const std::string& path : wish_.paths) files.push_back(tier_.Hold(path));
  Read(files);
  if (!wish_.placement.device.is_cpu()) {
    // A device fetches them by itself then, four times as fast, now and whenever the model comes
    // back from its lower tier.
    for (const HostFileHandle& file : files) file->Register({});
  }
  auto model =
      std::make_unique<EngineModel>(CheckpointTensors(std::move(files)), key.kind, wish_.placement);
  const TierBytes bytes = model->bytes();
  return {std::move(model), bytes};
}

void EngineLoader::Read(const std::vector<HostFileHandle>& files) const {
  for (const HostFileHandle& file : files) file->StartReadAhead({.is_urgent = true});
  for (const HostFileHandle& file : files) {
    while (!file->WaitForReadAhead(kBetweenQuestions)) {
      if (!wish_.is_unwanted || !wish_.is_unwanted()) continue;
      for (const HostFileHandle& each : files) each->CancelReadAhead();
      throw Error("The load was stopped before it was done; nothing of it is kept.");
    }
  }
}

}  // namespace hearth
