#ifndef HEARTH_MODEL_MODEL_LOADER_H_
#define HEARTH_MODEL_MODEL_LOADER_H_

#include <memory>

#include "model/model_key.h"
#include "model/resident.h"
#include "model/tier_bytes.h"

namespace hearth {

struct LoadedModel {
  std::unique_ptr<Resident> resident;  // never null
  TierBytes bytes;
};

// Does the I/O of one load. Called on the cache's Executor, never under its lock, at most once at a
// time per key. May throw anything; the exception reaches every waiter unchanged.
class ModelLoader {
 public:
  virtual ~ModelLoader() = default;
  virtual LoadedModel Load(const ModelKey& key) = 0;
};

}  // namespace hearth

#endif  // HEARTH_MODEL_MODEL_LOADER_H_
