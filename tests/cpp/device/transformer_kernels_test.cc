// The kernels' own text, run on the host thread by thread, against plain loops in double.
#include "device/transformer_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "fakes/host_kernels.h"

namespace hearth {
namespace host_kernels {
// NOLINTBEGIN: the text that is compiled for GPUs
#include "device/kernels/eights.cuh"
#include "device/kernels/transformer.cu"
// NOLINTEND
}  // namespace host_kernels

namespace {

using namespace host_kernels;

constexpr double kRounding = 1.0 / 256;  // half of bfloat16's last place, relative
constexpr float kEps = 1e-5F;

using Bf16 = unsigned short;

float Widen(Bf16 bits) { return Lower(bits); }
Bf16 Narrow(float value) { return static_cast<Bf16>(NarrowPair(value, 0.0F)); }

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
  static constexpr std::size_t kRows = 5;
  std::size_t width() const { return GetParam(); }
  unsigned threads() const {
    const std::size_t shares = (width() / 8 + kHeld - 1) / kHeld;
    return static_cast<unsigned>((shares + 31) / 32 * 32);
  }
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
  std::vector<Bf16> sum(x.size());
  std::vector<Bf16> out(x.size());
  const GateAddNormArguments all{Eights(x),      Eights(branch), Eights(after), Eights(gate),
                                 Eights(before), Eights(scale),  Eights(sum),   Eights(out)};
  // Two blocks for five rows: one takes three of them.
  RunGrid({2, 1}, threads(), [&] { GateAddNorm(all, kRows, eights(), kEps); });
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
  const auto x = Numbers(kRows * width(), 1);
  const auto branch = Numbers(kRows * width(), 2);
  const auto after = Numbers(width(), 3);
  std::vector<Bf16> sum = x;  // in place
  const GateAddNormArguments all{Eights(sum), Eights(branch), Eights(after), nullptr,
                                 nullptr,     nullptr,        Eights(sum),   nullptr};
  RunGrid({1, 1}, threads(), [&] { GateAddNorm(all, kRows, eights(), kEps); });
  for (std::size_t at = 0; at < x.size(); ++at) {
    const std::size_t column = at % width();
    const double inverse = InverseOf(&branch[at - column], width(), kEps);
    const double should = Widen(x[at]) + Widen(branch[at]) * inverse * Widen(after[column]);
    EXPECT_NEAR(Widen(sum[at]), should, std::abs(should) * kRounding + 1e-6);
  }
}

TEST_P(RowKernelsTest, GateAddNormWithoutANormOfTheBranchAddsItAsItIs) {
  const auto x = Numbers(width(), 1);
  const auto branch = Numbers(width(), 2);
  const auto before = Numbers(width(), 3);
  std::vector<Bf16> sum(x.size());
  std::vector<Bf16> out(x.size());
  const GateAddNormArguments all{Eights(x),      Eights(branch), nullptr,     nullptr,
                                 Eights(before), nullptr,        Eights(sum), Eights(out)};
  RunGrid({1, 1}, threads(), [&] { GateAddNorm(all, 1, eights(), kEps); });
  const double inverse = InverseOf(sum.data(), width(), kEps);
  for (std::size_t at = 0; at < x.size(); ++at) {
    EXPECT_EQ(sum[at], Narrow(Widen(x[at]) + Widen(branch[at])));
    ExpectNear(out[at], Widen(sum[at]) * inverse * Widen(before[at]));
  }
}

// Of one warp that is not full, of several, and of rows that fill every thread's share.
INSTANTIATE_TEST_SUITE_P(Widths, RowKernelsTest, ::testing::Values(256, 264, 1024, 3840));

// A row of three queries, as many values that are nobody's business here, and two keys.
class HeadKernelTest : public ::testing::TestWithParam<bool> {
 protected:
  static constexpr std::size_t kTokens = 2, kRows = 4, kQueries = 3, kKeys = 2, kFirstKey = 6,
                               kStride = 8 * 128;

  HeadKernelTest() {
    for (std::size_t i = 0; i < kTokens * 64; ++i) {
      cosines_.push_back(std::cos(static_cast<float>(i)));
      sines_.push_back(std::sin(static_cast<float>(i)));
    }
  }
  std::vector<Bf16> Turned() {
    std::vector<Bf16> x = before_;
    const Heads queries{x.data(), Eights(query_weight_), kStride, kQueries};
    const Heads keys{&x[kFirstKey * 128], Eights(key_weight_), kStride, kKeys};
    const Angles angles{reinterpret_cast<const Quad*>(cosines_.data()),
                        reinterpret_cast<const Quad*>(sines_.data()), kTokens, GetParam() ? 1 : 0};
    RunGrid({kRows, 2}, 32, [&] { HeadNormTurn(queries, keys, angles, kEps); });
    return x;
  }
  // Element `at` of x, by the formula.
  double Should(std::size_t at) const {
    const std::size_t element = at % 128;
    const Bf16* const head = &before_[at - element];
    const auto& weight = at % kStride / 128 < kQueries ? query_weight_ : key_weight_;
    const double inverse = InverseOf(head, 128, kEps);
    const auto normed = [&](std::size_t i) { return Widen(head[i]) * inverse * Widen(weight[i]); };
    const bool is_first = GetParam() ? element < 64 : element % 2 == 0;
    const std::size_t pair = GetParam() ? element % 64 : element / 2;
    const double cosine = cosines_[at / kStride % kTokens * 64 + pair];
    const double sine = sines_[at / kStride % kTokens * 64 + pair];
    const double first = normed(GetParam() ? pair : 2 * pair);
    const double second = normed(GetParam() ? pair + 64 : 2 * pair + 1);
    return is_first ? first * cosine - second * sine : first * sine + second * cosine;
  }

  const std::vector<Bf16> before_ = Numbers(kRows * kStride, 1);
  const std::vector<Bf16> query_weight_ = Numbers(128, 2);
  const std::vector<Bf16> key_weight_ = Numbers(128, 3);
  std::vector<float> cosines_;
  std::vector<float> sines_;
};

TEST_P(HeadKernelTest, HeadsAreNormedAndTurnedInPlaceAndTheirNeighboursLeftAlone) {
  const std::vector<Bf16> x = Turned();
  for (std::size_t at = 0; at < x.size(); ++at) {
    const std::size_t head = at % kStride / 128;
    if (head >= kQueries && head < kFirstKey) {
      EXPECT_EQ(x[at], before_[at]);
    } else {
      EXPECT_NEAR(Widen(x[at]), Should(at), std::abs(Should(at)) * kRounding + 1e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Pairs, HeadKernelTest, ::testing::Bool(), [](const auto& info) {
  return info.param ? std::string("Halves") : std::string("Neighbours");
});

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
