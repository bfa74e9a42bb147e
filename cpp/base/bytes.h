#ifndef HEARTH_BASE_BYTES_H_
#define HEARTH_BASE_BYTES_H_

#include <cstdint>
#include <optional>
#include <string>

namespace hearth {

// a + b and a * b, or nullopt when 64 bits do not hold them.
std::optional<std::uint64_t> CheckedAdd(std::uint64_t a, std::uint64_t b);
std::optional<std::uint64_t> CheckedMultiply(std::uint64_t a, std::uint64_t b);

// GiB as bytes, rounded down; what is more than 64 bits hold is the largest number there is.
// REQUIRES: gib is not negative and not NaN.
std::uint64_t GibToBytes(double gib);

// For people, in decimal units as disks and files are sold: "12.3 GB", "850 MB", "17 bytes".
std::string FormatBytes(std::uint64_t bytes);

}  // namespace hearth

#endif  // HEARTH_BASE_BYTES_H_
