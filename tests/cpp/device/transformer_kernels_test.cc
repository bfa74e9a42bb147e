// The kernels' own text, run on the host thread by thread, against plain loops in double.
#include "device/transformer_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fakes/host_kernels.h"

namespace hearth {
namespace host_kernels {
// NOLINTNEXTLINE: the text that is compiled for GPUs
#include "device/kernels/transformer.cu"
}  // namespace host_kernels

namespace {

using namespace host_kernels;

constexpr double kRounding = 1.0 / 256;  // half of bfloat16's last place, relative
constexpr float kEps = 1e-5F;

// Numbers between -2 and 2 that no two rows share.
std::vector<Bf16> Numbers(std::size_t count, unsigned seed) {
  std::vector<Bf16> numbers(count);
  std::uint64_t state = seed;
  for (Bf16& number : numbers) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    number = Narrow(static_cast<float>(state >> 40) / static_cast<float>(1 << 22) - 2.0F);
  }
  return numbers;
}

const Eight* Eights(const std::vector<Bf16>& numbers) {
  return reinterpret_cast<const Eight*>(numbers.data());
}
Eight* Eights(std::vector<Bf16>& numbers) { return reinterpret_cast<Eight*>(numbers.data()); }

double InverseOf(const Bf16* row, std::size_t width, double eps) {
  double squares = 0;
  for (std::size_t i = 0; i < width; ++i) squares += std::pow(Widen(row[i]), 2);
  return 1 / std::sqrt(squares / static_cast<double>(width) + eps);
}

void ExpectNear(Bf16 is, double should) {
  EXPECT_NEAR(Widen(is), should, std::abs(should) * kRounding + 1e-6);
}

// Widths of one warp, of more, and of one that is not full.
class RowKernelsTest : public ::testing::TestWithParam<std::size_t> {
 protected:
  static constexpr std::size_t kRows = 3;
  std::size_t width() const { return GetParam(); }
  unsigned threads() const { return static_cast<unsigned>((width() / 8 + 31) / 32 * 32); }
  int eights() const { return static_cast<int>(width() / 8); }
};

TEST_P(RowKernelsTest, NormScaleIsTheNormTimesTheScale) {
  const auto x = Numbers(kRows * width(), 1);
  const auto weight = Numbers(width(), 2);
  const auto scale = Numbers(width(), 3);
  for (const bool has_scale : {true, false}) {
    std::vector<Bf16> out(x.size());
    RunGrid({kRows, 1}, threads(), [&] {
      NormScale(Eights(x), Eights(weight), has_scale ? Eights(scale) : nullptr, Eights(out),
                eights(), kEps);
    });
    for (std::size_t at = 0; at < x.size(); ++at) {
      const std::size_t column = at % width();
      const double normed = Widen(x[at]) * InverseOf(&x[at - column], width(), kEps);
      ExpectNear(out[at], normed * Widen(weight[column]) * (has_scale ? Widen(scale[column]) : 1));
    }
  }
}

TEST_P(RowKernelsTest, GateAddNormAddsTheGatedBranchAndNormsTheSum) {
  const auto x = Numbers(kRows * width(), 1);
  const auto branch = Numbers(kRows * width(), 2);
  const auto after = Numbers(width(), 3);
  const auto gate = Numbers(width(), 4);
  const auto before = Numbers(width(), 5);
  const auto scale = Numbers(width(), 6);
  std::vector<Bf16> sum = x;  // in place, as the engine has it
  std::vector<Bf16> out(x.size());
  RunGrid({kRows, 1}, threads(), [&] {
    GateAddNorm(Eights(sum), Eights(branch), Eights(after), Eights(gate), Eights(before),
                Eights(scale), Eights(sum), Eights(out), eights(), kEps);
  });
  for (std::size_t at = 0; at < x.size(); ++at) {
    const std::size_t column = at % width();
    const double normed = Widen(branch[at]) * InverseOf(&branch[at - column], width(), kEps);
    const double gated = normed * Widen(after[column]) * Widen(gate[column]);
    EXPECT_NEAR(Widen(sum[at]), Widen(x[at]) + gated, std::abs(Widen(sum[at])) * kRounding + 1e-6);
    const double again = Widen(sum[at]) * InverseOf(&sum[at - column], width(), kEps);
    ExpectNear(out[at], again * Widen(before[column]) * Widen(scale[column]));
  }
}

TEST_P(RowKernelsTest, GateAddNormWithoutAnOutputMakesTheSumAlone) {
  const auto x = Numbers(width(), 1);
  const auto branch = Numbers(width(), 2);
  const auto after = Numbers(width(), 3);
  std::vector<Bf16> sum(x.size());
  RunGrid({1, 1}, threads(), [&] {
    GateAddNorm(Eights(x), Eights(branch), Eights(after), nullptr, nullptr, nullptr, Eights(sum),
                nullptr, eights(), kEps);
  });
  const double inverse = InverseOf(branch.data(), width(), kEps);
  for (std::size_t at = 0; at < x.size(); ++at) {
    const double should = Widen(x[at]) + Widen(branch[at]) * inverse * Widen(after[at]);
    EXPECT_NEAR(Widen(sum[at]), should, std::abs(should) * kRounding + 1e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, RowKernelsTest, ::testing::Values(256, 264, 800));

TEST(TransformerKernelsTest, HeadsAreNormedAndTurnedInPlaceAndTheirNeighboursLeftAlone) {
  constexpr std::size_t kTokens = 2, kRows = 4, kHeads = 3, kStride = 3 * kHeads * 128;
  const auto before = Numbers(kRows * kStride, 1);
  const auto weight = Numbers(128, 2);
  std::vector<float> cosines(kTokens * 64);
  std::vector<float> sines(kTokens * 64);
  for (std::size_t i = 0; i < cosines.size(); ++i) {
    cosines[i] = std::cos(static_cast<float>(i));
    sines[i] = std::sin(static_cast<float>(i));
  }
  auto x = before;
  RunGrid({kRows, 1}, 128, [&] {  // four warps, of which one has no head
    HeadNormTurn(x.data(), kStride, kHeads, weight.data(), cosines.data(), sines.data(), kTokens,
                 kEps);
  });
  for (std::size_t at = 0; at < x.size(); ++at) {
    const std::size_t row = at / kStride;
    const std::size_t column = at % kStride;
    if (column >= kHeads * 128) {
      EXPECT_EQ(x[at], before[at]);
      continue;
    }
    const std::size_t element = column % 128;
    const Bf16* const head = &before[at - element];
    const double inverse = InverseOf(head, 128, kEps);
    const auto normed = [&](std::size_t i) { return Widen(head[i]) * inverse * Widen(weight[i]); };
    const std::size_t pair = element / 2;
    const double cosine = cosines[row % kTokens * 64 + pair];
    const double sine = sines[row % kTokens * 64 + pair];
    const double first = normed(2 * pair);
    const double second = normed(2 * pair + 1);
    const double should =
        element % 2 == 0 ? first * cosine - second * sine : first * sine + second * cosine;
    EXPECT_NEAR(Widen(x[at]), should, std::abs(should) * kRounding + 1e-5);
  }
}

TEST(TransformerKernelsTest, SiluMulIsTheGateTimesTheOther) {
  const auto gate = Numbers(800, 1);
  const auto up = Numbers(800, 2);
  auto x = gate;
  RunGrid({4, 1}, 32, [&] { SiluMul(Eights(x), Eights(up), 100); });
  for (std::size_t at = 0; at < x.size(); ++at) {
    const double value = Widen(gate[at]);
    ExpectNear(x[at], value / (1 + std::exp(-value)) * Widen(up[at]));
  }
}

TEST(TransformerKernelsTest, RoundingIsToTheNearestAndWhatIsNoNumberStaysNone) {
  EXPECT_EQ(Narrow(1.0F), 0x3f80);
  EXPECT_EQ(Narrow(__uint_as_float(0x3f808000)), 0x3f80);  // a half, to even
  EXPECT_EQ(Narrow(__uint_as_float(0x3f818000)), 0x3f82);
  EXPECT_EQ(Narrow(__uint_as_float(0x3f808001)), 0x3f81);
  EXPECT_EQ(Narrow(__uint_as_float(0xff800000)), 0xff80);  // minus infinity
  EXPECT_TRUE(std::isnan(Widen(Narrow(__uint_as_float(0x7f800001)))));
}

TEST(TransformerKernelsTest, TheTextThatTravelsIsTheOneTestedHere) {
  EXPECT_NE(TransformerKernelText().find("GateAddNorm("), std::string::npos);
}

}  // namespace
}  // namespace hearth
