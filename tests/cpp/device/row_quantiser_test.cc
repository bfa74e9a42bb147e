// The kernel's own text, run on the host thread by thread.
#include "device/row_quantiser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "fakes/host_kernels.h"

namespace hearth {
namespace host_kernels {

// A number of one sign bit, four of exponent (bias 7) and three behind the point.
float FromEightBits(unsigned bits) {
  const auto exponent = static_cast<int>(bits >> 3 & 15U);
  const auto fraction = static_cast<float>(bits & 7U) / 8;
  const float size =
      exponent == 0 ? std::ldexp(fraction, -6) : std::ldexp(1 + fraction, exponent - 7);
  return bits >> 7 == 0 ? size : -size;
}

// What the GPU's instruction gives, by looking at all of them.
unsigned EightBits(float value) {
  unsigned best = 0;
  for (unsigned bits = 1; bits < 0x7f; ++bits) {
    const float now = std::abs(FromEightBits(bits) - std::abs(value));
    const float before = std::abs(FromEightBits(best) - std::abs(value));
    if (now < before || (now == before && bits % 2 == 0)) best = bits;
  }
  return value < 0 ? best | 0x80U : best;
}

// NOLINTBEGIN: the text that is compiled for GPUs
#include "device/kernels/eights.cuh"
#include "device/kernels/quantise.cu"
// NOLINTEND
}  // namespace host_kernels

namespace {

using namespace host_kernels;
using Bf16 = unsigned short;

class RowQuantiserTest : public ::testing::TestWithParam<std::size_t> {
 protected:
  static constexpr std::size_t kRows = 3;
  std::size_t width() const { return GetParam(); }

  // Rows of very different sizes, the last of zeros.
  std::vector<Bf16> Numbers() const {
    std::vector<Bf16> numbers(kRows * width());
    std::uint64_t state = 1;
    for (std::size_t at = 0; at < 2 * width(); ++at) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const float number = static_cast<float>(state >> 40) / static_cast<float>(1 << 22) - 2.0F;
      numbers[at] = static_cast<Bf16>(NarrowPair(at < width() ? number : number * 1e4F, 0.0F));
    }
    return numbers;
  }
};

TEST_P(RowQuantiserTest, EachRowHasItsOwnScaleAndComesBackWithinThreeBits) {
  const std::vector<Bf16> x = Numbers();
  std::vector<std::uint8_t> out(x.size());
  std::vector<float> scales(kRows, -1.0F);
  const auto shares = static_cast<unsigned>((width() / 8 + kHeld - 1) / kHeld);
  RunGrid({kRows, 1}, (shares + 31) / 32 * 32, [&] {
    QuantiseRows(reinterpret_cast<const Eight*>(x.data()), reinterpret_cast<Bytes*>(out.data()),
                 scales.data(), static_cast<int>(width() / 8));
  });
  for (std::size_t row = 0; row < kRows; ++row) {
    float most = 0;
    for (std::size_t at = row * width(); at < (row + 1) * width(); ++at) {
      const float should = Lower(x[at]);
      most = std::max(most, std::abs(should));
      // Half of the last of three bits, or of the smallest number there is.
      const float room = std::max(std::abs(should) / 16, scales[row] / 1024);
      EXPECT_NEAR(FromEightBits(out[at]) * scales[row], should, room * 1.001F);
    }
    EXPECT_FLOAT_EQ(scales[row], std::max(most, 1e-12F) / 448);
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, RowQuantiserTest, ::testing::Values(256, 272, 3840));

}  // namespace
}  // namespace hearth
