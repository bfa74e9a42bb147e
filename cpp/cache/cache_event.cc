#include "cache/cache_event.h"

#include <array>
#include <stdexcept>
#include <utility>

namespace hearth {
namespace {

constexpr std::array<std::pair<EventKind, std::string_view>, 18> kWords = {{
    {EventKind::kOpened, "opened"},
    {EventKind::kWeightsArrived, "weights_arrived"},
    {EventKind::kHit, "hit"},
    {EventKind::kLoadFailed, "load_failed"},
    {EventKind::kServedUncached, "served_uncached"},
    {EventKind::kReloaded, "reloaded"},
    {EventKind::kEvicted, "evicted"},
    {EventKind::kDemoted, "demoted"},
    {EventKind::kErased, "erased"},
    {EventKind::kLingering, "lingering"},
    {EventKind::kReclaimed, "reclaimed"},
    {EventKind::kLingeringGone, "lingering_gone"},
    {EventKind::kPinned, "pinned"},
    {EventKind::kUnpinned, "unpinned"},
    {EventKind::kLimitsChanged, "limits_changed"},
    {EventKind::kOutOfMemory, "out_of_memory"},
    {EventKind::kFellBack, "fell_back"},
    {EventKind::kNoted, "noted"},
}};

}  // namespace

std::string_view ToString(EventKind kind) {
  for (const auto& [known, word] : kWords) {
    if (known == kind) return word;
  }
  return "noted";
}

EventKind EventKindFromString(std::string_view word) {
  for (const auto& [kind, known] : kWords) {
    if (known == word) return kind;
  }
  throw std::invalid_argument("no such kind of event: " + std::string(word));
}

}  // namespace hearth
