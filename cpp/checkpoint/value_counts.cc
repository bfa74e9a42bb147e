#include "checkpoint/value_counts.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace hearth {
namespace {

// A number with its sign bit taken off is NaN above `infinity` and infinite at it. Formats without
// infinities give the largest finite pattern and count nothing as infinite.
template <class Bits>
struct FloatFormat {
  Bits magnitude;
  Bits infinity;
  bool has_infinity = true;
};

// The sums of a run are as narrow as the elements, so that the compiler can use whole vectors; a
// run is short enough for them not to overflow.
template <class Bits>
ValueCounts Count(FloatFormat<Bits> format, const char* bytes, std::size_t size) {
  constexpr std::size_t kRun = std::min<std::size_t>(std::numeric_limits<Bits>::max(), 65535);
  const std::size_t count = size / sizeof(Bits);
  ValueCounts total;
  for (std::size_t start = 0; start < count; start += kRun) {
    const std::size_t run = std::min(kRun, count - start);
    const char* const at = bytes + start * sizeof(Bits);
    Bits nan = 0;
    Bits infinite = 0;
    for (std::size_t i = 0; i < run; ++i) {
      Bits value;
      std::memcpy(&value, at + i * sizeof(Bits), sizeof(Bits));  // unaligned
      value = static_cast<Bits>(value & format.magnitude);
      nan = static_cast<Bits>(nan + (value > format.infinity));
      infinite = static_cast<Bits>(infinite + (value == format.infinity));
    }
    total.nan += nan;
    total.infinite += format.has_infinity ? infinite : 0;
  }
  return total;
}

// These formats have no sign of zero: minus zero's pattern is their one NaN.
ValueCounts CountMinusZero(const char* bytes, std::size_t size) {
  return {.nan = static_cast<std::uint64_t>(std::count(bytes, bytes + size, '\x80'))};
}

}  // namespace

ValueCounts CountValues(Dtype dtype, const char* bytes, std::size_t size) {
  switch (dtype) {
    case Dtype::kF8E5M2:
      return Count<std::uint8_t>({0x7f, 0x7c}, bytes, size);
    case Dtype::kF8E4M3:
      return Count<std::uint8_t>({0x7f, 0x7e, false}, bytes, size);
    case Dtype::kF8E8M0:
      return Count<std::uint8_t>({0xff, 0xfe, false}, bytes, size);
    case Dtype::kF8E4M3Fnuz:
    case Dtype::kF8E5M2Fnuz:
      return CountMinusZero(bytes, size);
    case Dtype::kF16:
      return Count<std::uint16_t>({0x7fff, 0x7c00}, bytes, size);
    case Dtype::kBF16:
      return Count<std::uint16_t>({0x7fff, 0x7f80}, bytes, size);
    case Dtype::kF32:
    case Dtype::kC64:
      return Count<std::uint32_t>({0x7fffffff, 0x7f800000}, bytes, size);
    case Dtype::kF64:
      return Count<std::uint64_t>({0x7fffffffffffffff, 0x7ff0000000000000}, bytes, size);
    default:
      return {};
  }
}

}  // namespace hearth
