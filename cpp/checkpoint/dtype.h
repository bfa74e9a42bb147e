#ifndef HEARTH_CHECKPOINT_DTYPE_H_
#define HEARTH_CHECKPOINT_DTYPE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hearth {

// The element types of the safetensors format, all that its reference reader knows.
enum class Dtype : std::uint8_t {
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64,
};

// As written in a header: "BF16", "F8_E4M3".
std::string_view ToString(Dtype dtype);
// nullopt for any other word; the case matters.
std::optional<Dtype> DtypeFromString(std::string_view word);
// Bits of one element; 4 and 6 occur, so a tensor's bytes are a checked division.
unsigned BitsOf(Dtype dtype);
// "BOOL, F4, …": for messages.
std::string ListDtypes();

}  // namespace hearth

#endif  // HEARTH_CHECKPOINT_DTYPE_H_
