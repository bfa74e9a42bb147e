#include "weights/scalar_type.h"

#include <algorithm>
#include <array>

namespace hearth {
namespace {

struct Pair {
  Dtype dtype;
  at::ScalarType type;
};

constexpr std::array<Pair, 20> kPairs{{
    {Dtype::kBool, at::kBool},
    {Dtype::kU8, at::kByte},
    {Dtype::kI8, at::kChar},
    {Dtype::kU16, at::kUInt16},
    {Dtype::kI16, at::kShort},
    {Dtype::kU32, at::kUInt32},
    {Dtype::kI32, at::kInt},
    {Dtype::kU64, at::kUInt64},
    {Dtype::kI64, at::kLong},
    {Dtype::kF16, at::kHalf},
    {Dtype::kBF16, at::kBFloat16},
    {Dtype::kF32, at::kFloat},
    {Dtype::kF64, at::kDouble},
    {Dtype::kC64, at::kComplexFloat},
    {Dtype::kF8E5M2, at::kFloat8_e5m2},
    {Dtype::kF8E4M3, at::kFloat8_e4m3fn},
    {Dtype::kF8E8M0, at::kFloat8_e8m0fnu},
    {Dtype::kF8E5M2Fnuz, at::kFloat8_e5m2fnuz},
    {Dtype::kF8E4M3Fnuz, at::kFloat8_e4m3fnuz},
    {Dtype::kF4, at::kFloat4_e2m1fn_x2},
}};

}  // namespace

std::optional<at::ScalarType> ScalarTypeOf(Dtype dtype) {
  const auto found = std::find_if(kPairs.begin(), kPairs.end(),
                                  [dtype](const Pair& pair) { return pair.dtype == dtype; });
  if (found == kPairs.end()) return std::nullopt;
  return found->type;
}

}  // namespace hearth
