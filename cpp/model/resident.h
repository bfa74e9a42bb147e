#ifndef HEARTH_MODEL_RESIDENT_H_
#define HEARTH_MODEL_RESIDENT_H_

#include <optional>

#include "model/tier_bytes.h"

namespace hearth {

// What became of a model after Release().
struct ReleaseOutcome {
  // Bytes still taken because somebody outside (a workflow) holds the model. All zero: gone.
  TierBytes lingering;
  bool is_lingering = false;
};

// A loaded model, as the cache sees it: something that takes memory and can give it back. Each call
// is made on the cache's Executor and never under its lock; the destructor may run on any thread.
class Resident {
 public:
  virtual ~Resident() = default;

  // Gives back every byte nobody outside holds, and keeps only weak references to the rest.
  // Must not throw; called at most once per stay in the cache.
  virtual ReleaseOutcome Release() noexcept = 0;

  // Gives the device memory back and stays resident: its next use moves the weights there again,
  // without reading a file. Returns where its bytes are then; nullopt: there is no tier below, and
  // only Release() gives memory back. Must not throw.
  virtual std::optional<TierBytes> Demote() noexcept { return std::nullopt; }

  // After a lingering Release(): takes the model back whole, without reading a file. False when a
  // part of it is gone by now. Must not throw.
  virtual bool Reclaim() noexcept { return false; }

  // After a lingering Release(): asks whoever outside holds the model to let go, where that is
  // possible. Returns what still lingers afterwards. Must not throw.
  virtual ReleaseOutcome FreeLingering() noexcept { return {}; }
};

}  // namespace hearth

#endif  // HEARTH_MODEL_RESIDENT_H_
