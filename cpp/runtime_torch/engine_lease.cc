#include "runtime_torch/engine_lease.h"

#include <c10/core/ScalarType.h>

#include <utility>

#include "base/error.h"
#include "checkpoint/file_identity.h"
#include "runtime_torch/device_kernels.h"

namespace hearth {
namespace {

// Models of ComfyUI's loaders may have the same names and files, and are other objects.
constexpr char kEngine[] = "engine=zimage device=";

void RequireShortProducts(const EnginePlacement& placement) {
  if (placement.kernels && placement.kernels->quantiser) return;
  throw Error(
      "Products in 8-bit floats need a GPU of compute capability 8.9 (Ada, Hopper) or higher and "
      "hearth's kernels; leave fp8 off.");
}

LoadRequest CacheRequest(Runtime& runtime, const EngineRequest& request) {
  EngineLoader::Wish wish = request.wish;
  if (request.fused) wish.placement.kernels = KernelsFor(runtime, wish.placement.device);
  if (wish.placement.has_short_products) RequireShortProducts(wish.placement);
  LoadRequest wanted;
  wanted.key = EngineKey(request);
  wanted.loader = std::make_shared<EngineLoader>(*runtime.host_tier(), std::move(wish));
  for (const std::string& path : request.wish.paths) {
    wanted.expected.mapped += IdentifyFile(path).size;
  }
  if (!request.wish.placement.device.is_cpu()) wanted.expected.device = wanted.expected.mapped;
  wanted.asker = request.asker;
  return wanted;
}

}  // namespace

ModelKey EngineKey(const EngineRequest& request) {
  ModelKey key;
  key.kind = request.kind;
  key.loader = request.loader;
  key.name = request.name;
  const EnginePlacement& placement = request.wish.placement;
  key.options = kEngine;
  key.options += placement.device.str();
  key.options += std::string(" compute=") + c10::toString(placement.compute_type);
  if (request.fused) key.options += " fused";
  if (placement.has_short_products) key.options += " fp8";
  key.options += " " + request.options;
  for (const std::string& path : request.wish.paths) {
    if (!key.identity.empty()) key.identity += ' ';
    key.identity += IdentifyFile(path).ToString();
  }
  return key;
}

std::shared_ptr<Transformer> EngineLease::transformer() const {
  if (!held_->parts.transformer) return nullptr;
  return {held_, held_->parts.transformer.get()};
}

std::shared_ptr<VelocityPrograms> EngineLease::programs() const {
  if (!held_->parts.programs) return nullptr;
  return {held_, held_->parts.programs.get()};
}

std::shared_ptr<TextEncoder> EngineLease::text_encoder() const {
  if (!held_->parts.text_encoder) return nullptr;
  return {held_, held_->parts.text_encoder.get()};
}

std::shared_ptr<VaeDecoder> EngineLease::vae() const {
  if (!held_->parts.vae) return nullptr;
  return {held_, held_->parts.vae.get()};
}

void EngineLease::RequireSound() const { static_cast<EngineModel&>(*held_->handle).RequireSound(); }

EngineLease AcquireEngineModel(Runtime& runtime, const EngineRequest& request) {
  const LoadRequest wanted = CacheRequest(runtime, request);
  auto held = std::make_shared<EngineLease::Held>();
  held->handle = runtime.cache()->Acquire(wanted);
  auto* const model = dynamic_cast<EngineModel*>(&*held->handle);
  if (model == nullptr) {
    throw Error(request.name +
                " is in the cache as another kind of object; choose another loader.");
  }
  held->parts = model->Parts();
  // After a demotion its weights have just come back.
  if (held->handle.cached()) runtime.cache()->UpdateBytes(wanted.key, model->bytes());
  return EngineLease(std::move(held));
}

}  // namespace hearth
