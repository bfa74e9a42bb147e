#ifndef HEARTH_BASE_NEAREST_H_
#define HEARTH_BASE_NEAREST_H_

#include <span>
#include <string>
#include <string_view>

namespace hearth {

// The candidate that was probably meant by a mistyped `word`, or an empty string when none is near.
// Near is: at most a third of the letters inserted, dropped, changed or swapped with their
// neighbour; else that every part of the word between underscores is near a part of the candidate,
// so that "max_modles" finds "max_cached_models". Capitals do not count. The shortest of equals
// wins, then the first.
std::string NearestWord(std::string_view word, std::span<const std::string> candidates);

}  // namespace hearth

#endif  // HEARTH_BASE_NEAREST_H_
