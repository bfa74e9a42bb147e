#ifndef HEARTH_RUNTIME_TORCH_ENGINE_MODEL_H_
#define HEARTH_RUNTIME_TORCH_ENGINE_MODEL_H_

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "device/cuda_host.h"
#include "hosttier/host_tier.h"
#include "model/model_loader.h"
#include "model/resident.h"
#include "weights/checkpoint_tensors.h"
#include "zimage/text_encoder.h"
#include "zimage/transformer.h"
#include "zimage/vae_decoder.h"
#include "zimage/velocity_program.h"

namespace hearth {

// Where a model computes, and in which type.
struct EnginePlacement {
  at::Device device = at::kCPU;
  at::ScalarType compute_type = at::kFloat;
  // Of that device; null: ComfyUI's roundings, more passes over memory.
  std::shared_ptr<const EngineKernels> kernels = nullptr;
  // A transformer's matrix products in 8-bit floats; experimental. REQUIRES: kernels that have
  // them.
  bool has_short_products = false;
};

// The parts of Z-Image that a model has; null: its file has none of them.
struct EngineParts {
  std::shared_ptr<Transformer> transformer;
  std::shared_ptr<VelocityPrograms> programs;  // of the transformer; where there are kernels
  std::shared_ptr<TextEncoder> text_encoder;
  std::shared_ptr<VaeDecoder> vae;
};

// A held checkpoint as the engine computes with it. Its lower tier is the mapped file; on a device
// the weights stand there too until they are demoted.
class EngineModel final : public Resident {
 public:
  // Moves the weights to the device. Throws CheckpointMismatch when the file is not of this kind; a
  // whole checkpoint must have a transformer and may lack the others.
  EngineModel(CheckpointTensors tensors, ModelKind kind, const EnginePlacement& placement);

  // Moves the weights to the device again if they were demoted. Any thread. The parts refer to the
  // model's weights: nobody may keep them longer than a handle of the model.
  EngineParts Parts() HEARTH_EXCLUDES(mutex_);
  TierBytes bytes() const HEARTH_EXCLUDES(mutex_);
  // Throws CheckpointCorrupt when the files are no longer what was loaded.
  void RequireSound() const { tensors_.RequireSound(); }

  // Nothing lingers: the cache asks only when no handle is left.
  ReleaseOutcome Release() noexcept override;
  std::optional<TierBytes> Demote() noexcept override;

 private:
  EngineParts MakeParts() const;
  TierBytes BytesWith(bool on_device) const;

  const CheckpointTensors tensors_;
  const ModelKind kind_;
  const EnginePlacement placement_;
  mutable Mutex mutex_;
  std::optional<EngineParts> parts_ HEARTH_GUARDED_BY(mutex_);
};

// Whether the load is no longer wanted; asked several times a second while files are read.
using IsUnwanted = std::function<bool()>;

// Maps the files of one model, brings them into RAM with several readers, and makes it.
class EngineLoader final : public ModelLoader {
 public:
  struct Wish {
    std::vector<std::string> paths;  // one file, or the shards of one model
    EnginePlacement placement;
    IsUnwanted is_unwanted;  // empty: it is wanted to the end
  };
  // REQUIRES: the tier outlives this; there is a path.
  EngineLoader(HostTier& tier, Wish wish) : tier_(tier), wish_(std::move(wish)) {}

  // Throws CheckpointNotFound, CheckpointCorrupt, CheckpointMismatch, and Error when it became
  // unwanted.
  LoadedModel Load(const ModelKey& key) override;

 private:
  void Read(const std::vector<HostFileHandle>& files) const;

  HostTier& tier_;
  const Wish wish_;
};

}  // namespace hearth

#endif  // HEARTH_RUNTIME_TORCH_ENGINE_MODEL_H_
