#ifndef HEARTH_CHECKPOINT_VALUE_COUNTS_H_
#define HEARTH_CHECKPOINT_VALUE_COUNTS_H_

#include <cstddef>
#include <cstdint>

#include "checkpoint/dtype.h"

namespace hearth {

// How many of a tensor's numbers are none. A complex number counts as its two parts.
struct ValueCounts {
  std::uint64_t nan = 0;
  std::uint64_t infinite = 0;

  ValueCounts& operator+=(const ValueCounts& other) {
    nan += other.nan;
    infinite += other.infinite;
    return *this;
  }
  bool operator==(const ValueCounts&) const = default;
};

// Counts over `size` bytes of whole elements, at any alignment. Zero for types without NaN.
ValueCounts CountValues(Dtype dtype, const char* bytes, std::size_t size);

}  // namespace hearth

#endif  // HEARTH_CHECKPOINT_VALUE_COUNTS_H_
