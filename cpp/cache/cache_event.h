#ifndef HEARTH_CACHE_CACHE_EVENT_H_
#define HEARTH_CACHE_CACHE_EVENT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "model/model_key.h"
#include "model/tier_bytes.h"

namespace hearth {

// Past-tense facts. Nothing that happens to a model is silent.
enum class EventKind {
  kOpened,          // a load ended well; reason says why it was not resident
  kWeightsArrived,  // its weights reached the device it works on
  kHit,             // asked for and resident
  kLoadFailed,      // reason is the error; an older resident of the slot, if any, stays
  kServedUncached,  // loaded for the caller alone; reason says why
  kReloaded,        // the file changed; the new model took the slot
  kEvicted,         // the policy dropped it; reason names the limit
  kDemoted,         // it gave its device memory back and stayed; reason names the limit
  kErased,          // somebody dropped it; reason says who
  kLingering,       // it left the cache, but a workflow still holds it
  kReclaimed,       // a lingering model was used again and is resident again
  kLingeringGone,   // the last outside holder let go
  kPinned,
  kUnpinned,
  kLimitsChanged,
  kOutOfMemory,  // a node ran out of memory; reason says what was done about it
  kFellBack,     // stock ComfyUI served it; reason says why
  kNoted,        // anything else worth knowing
};
std::string_view ToString(EventKind kind);  // "opened", "weights_arrived", ...
// Throws std::invalid_argument for any other word.
EventKind EventKindFromString(std::string_view word);

// Who asked. Empty strings where nobody in particular did.
struct Asker {
  std::string node;
  std::string prompt;
};

struct CacheEvent {
  std::uint64_t sequence = 0;  // set by the ring; starts at 1 and has no gaps
  double unix_seconds = 0;     // set by the ring
  EventKind kind = EventKind::kNoted;
  std::string model;   // name, or empty
  std::string loader;  // loader class, or empty
  std::string reason;
  Asker asker;
  TierBytes bytes;
  double ms = 0;  // how long it took, 0 where that means nothing
};

}  // namespace hearth

#endif  // HEARTH_CACHE_CACHE_EVENT_H_
