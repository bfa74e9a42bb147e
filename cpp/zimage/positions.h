#ifndef HEARTH_ZIMAGE_POSITIONS_H_
#define HEARTH_ZIMAGE_POSITIONS_H_

#include <cstdint>
#include <vector>

#include "zimage/rope.h"

namespace hearth {

// Both sequences are filled up to a multiple of this, each with a learned token of its own.
constexpr std::int64_t kTokenMultiple = 32;
constexpr std::int64_t RoundedUp(std::int64_t tokens) {
  return (tokens + kTokenMultiple - 1) / kTokenMultiple * kTokenMultiple;
}

// Axes are the sequence, the row and the column; a quarter of a head's width turns with the first,
// three eighths with each of the others (32, 48, 48 of 128).
std::vector<std::int64_t> RopeWidths(std::int64_t head_width);

// Caption token i stands at (i+1, 0, 0), its padding too. `tokens`: with padding.
RopeTable CaptionRope(std::int64_t tokens, std::int64_t head_width, at::Device device);

// Where an image stands behind its caption.
struct ImagePlace {
  std::int64_t caption_tokens;  // with padding
  std::int64_t rows;            // of patches
  std::int64_t columns;
};

// Patch (row, column) stands at (caption + 1, row, column), padding at (0, 0, 0).
RopeTable ImageRope(const ImagePlace& place, std::int64_t head_width, at::Device device);

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_POSITIONS_H_
