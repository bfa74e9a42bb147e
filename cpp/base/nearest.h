#ifndef HEARTH_BASE_NEAREST_H_
#define HEARTH_BASE_NEAREST_H_

#include <span>
#include <string>
#include <string_view>

namespace hearth {

// The candidate that was probably meant by a mistyped `word`, or an empty string when none is near:
// at most a third of the letters inserted, dropped, changed or swapped with their neighbour.
std::string NearestWord(std::string_view word, std::span<const std::string> candidates);

}  // namespace hearth

#endif  // HEARTH_BASE_NEAREST_H_
