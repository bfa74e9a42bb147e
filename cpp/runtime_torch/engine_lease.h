#ifndef HEARTH_RUNTIME_TORCH_ENGINE_LEASE_H_
#define HEARTH_RUNTIME_TORCH_ENGINE_LEASE_H_

#include <memory>
#include <string>

#include "cache/model_cache.h"
#include "runtime/runtime.h"
#include "runtime_torch/engine_model.h"

namespace hearth {

// What a model is asked for by.
struct EngineRequest {
  ModelKind kind = ModelKind::kDiffusionModel;
  std::string loader;   // class of the loader node, e.g. "UNETLoader"
  std::string name;     // entry of the model list; never a path
  std::string options;  // every other input of that node, as one text
  EngineLoader::Wish wish;
  bool fused = false;  // with the kernels of its device, where there is one and they compile
  Asker asker;
};

// The key of a request: its name and placement, and what its files are at this moment. Throws
// CheckpointNotFound and CheckpointCorrupt.
ModelKey EngineKey(const EngineRequest& request);

// A model in use. As long as the lease or one of its parts is alive, nothing evicts it.
class EngineLease {
 public:
  const ModelKey& key() const { return held_->handle.key(); }
  bool was_hit() const { return held_->handle.was_hit(); }
  bool cached() const { return held_->handle.cached(); }
  // Each keeps the whole lease; null: the file has no such part.
  std::shared_ptr<Transformer> transformer() const;
  // The transformer's; one thread at a time.
  std::shared_ptr<VelocityPrograms> programs() const;
  std::shared_ptr<TextEncoder> text_encoder() const;
  std::shared_ptr<VaeDecoder> vae() const;
  void RequireSound() const;

 private:
  friend EngineLease AcquireEngineModel(Runtime& runtime, const EngineRequest& request);
  struct Held {
    ModelHandle handle;
    EngineParts parts;
  };
  explicit EngineLease(std::shared_ptr<Held> held) : held_(std::move(held)) {}

  std::shared_ptr<Held> held_;
};

// The model, through the process's cache; loaded first if absent. Loads on the runtime's executor,
// so the calling thread should be the one that it has adopted. Throws what the cache and the loader
// throw, and Error when the slot is held by a model of somebody else's.
EngineLease AcquireEngineModel(Runtime& runtime, const EngineRequest& request);

}  // namespace hearth

#endif  // HEARTH_RUNTIME_TORCH_ENGINE_LEASE_H_
