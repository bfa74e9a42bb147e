#include "base/bytes.h"

#include <array>
#include <cstdio>
#include <limits>

namespace hearth {

std::optional<std::uint64_t> CheckedAdd(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

std::optional<std::uint64_t> CheckedMultiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

std::uint64_t GibToBytes(double gib) {
  constexpr double kGib = 1024.0 * 1024.0 * 1024.0;
  constexpr double kTooMuch = 18446744073709551616.0;  // 2^64
  const double bytes = gib * kGib;
  if (bytes >= kTooMuch) return std::numeric_limits<std::uint64_t>::max();
  return static_cast<std::uint64_t>(bytes);
}

std::string FormatBytes(std::uint64_t bytes) {
  struct Unit {
    std::uint64_t from;  // what the unit below would round to a thousand of its own
    double size;
    const char* name;
    int decimals;
  };
  constexpr std::array<Unit, 3> kUnits = {Unit{999'500'000, 1e9, "GB", 1},
                                          Unit{999'500, 1e6, "MB", 0}, Unit{1'000, 1e3, "KB", 0}};
  for (const Unit& unit : kUnits) {
    if (bytes < unit.from) continue;
    const double value = static_cast<double>(bytes) / unit.size;
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.*f %s", unit.decimals, value, unit.name);
    return text.data();
  }
  return std::to_string(bytes) + " bytes";
}

}  // namespace hearth
