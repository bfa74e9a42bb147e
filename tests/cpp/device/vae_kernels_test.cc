// The text of the VAE's kernels, run on the host thread by thread, against plain loops in
// double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "fakes/host_kernels.h"

namespace hearth {
namespace host_kernels {
namespace vae {
// NOLINTNEXTLINE: the text that is compiled for GPUs
#include "device/kernels/vae.cu"
}  // namespace vae
}  // namespace host_kernels

namespace {

using namespace host_kernels;
using namespace host_kernels::vae;

constexpr int kImages = 2;
constexpr int kPixels = 37;
constexpr int kParts = 3;
constexpr float kEps = 1e-6F;

using Bf16 = unsigned short;

float Widen(Bf16 bits) { return Lower(bits); }
Bf16 Narrow(float value) { return static_cast<Bf16>(NarrowPair(value, 0.0F)); }

// Around 5, where a variance computed from plain sums of squares would be poor.
std::vector<Bf16> Numbers(std::size_t count, unsigned seed) {
  std::vector<Bf16> numbers(count);
  std::uint64_t state = seed;
  for (Bf16& number : numbers) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    number = Narrow(static_cast<float>(state >> 40) / static_cast<float>(1 << 22) + 3.0F);
  }
  return numbers;
}

std::vector<double> Wide(const std::vector<Bf16>& numbers) {
  std::vector<double> wide;
  for (const Bf16 number : numbers) wide.push_back(Widen(number));
  return wide;
}

const Eight* Eights(const std::vector<Bf16>& numbers) {
  return reinterpret_cast<const Eight*>(numbers.data());
}

Eight* Eights(std::vector<Bf16>& numbers) { return reinterpret_cast<Eight*>(numbers.data()); }

// The widths of Z-Image's VAE, and its toy's.
class VaeKernelsTest : public ::testing::TestWithParam<int> {
 protected:
  int channels() const { return GetParam(); }
  int of_group() const { return channels() / 32; }

  std::size_t ChannelOf(std::size_t place) const {
    return place % static_cast<std::size_t>(channels());
  }

  // `x`: with what was added to it.
  void Expect(const std::vector<double>& x, const std::vector<Bf16>& out, bool has_silu) {
    for (int image = 0; image < kImages; ++image) {
      for (int group = 0; group < 32; ++group) ExpectGroup(x, out, {image, group, has_silu});
    }
  }

  std::vector<Bf16> Normed(const Eight* added, bool has_silu) {
    std::vector<Moments> moments(kImages * kParts * 32);
    std::vector<Moments> scales(kImages * 32);
    RunGrid({kParts, kImages}, 256,
            [&] { GroupMoments(Eights(x_), added, moments.data(), kPixels, channels(), kParts); });
    RunGrid({32, kImages}, 32,
            [&] { GroupScales(moments.data(), scales.data(), kPixels, channels(), kParts, kEps); });
    std::vector<Bf16> out(x_.size());
    const GroupApplyArguments arguments{Eights(x_),    scales.data(), Eights(weight_),
                                        Eights(bias_), added,         Eights(out)};
    const auto blocks = static_cast<unsigned>(kPixels * channels() / (8 * kHeld * 64) + 1);
    RunGrid({blocks, kImages}, 64,
            [&] { GroupApply(arguments, kPixels, channels(), has_silu ? 1 : 0); });
    return out;
  }

  std::vector<Bf16> x_ = Numbers(static_cast<std::size_t>(kImages * kPixels * channels()), 1);
  std::vector<Bf16> weight_ = Numbers(static_cast<std::size_t>(channels()), 2);
  std::vector<Bf16> bias_ = Numbers(static_cast<std::size_t>(channels()), 3);
  std::vector<Bf16> added_ = Numbers(static_cast<std::size_t>(channels()), 4);

 private:
  struct Place {
    int image;
    int group;
    bool has_silu;
  };
  void ExpectGroup(const std::vector<double>& x, const std::vector<Bf16>& out, const Place& of) {
    std::vector<std::size_t> places;
    double sum = 0;
    for (int i = 0; i < kPixels * of_group(); ++i) {
      const int pixel = of.image * kPixels + i / of_group();
      const int channel = of.group * of_group() + i % of_group();
      places.push_back(static_cast<std::size_t>(pixel * channels() + channel));
      sum += x[places.back()];
    }
    const double mean = sum / static_cast<double>(places.size());
    double squares = 0;
    for (const std::size_t at : places) squares += std::pow(x[at] - mean, 2);
    const double deviation = std::sqrt(squares / static_cast<double>(places.size()) + kEps);
    for (const std::size_t at : places) {
      const std::size_t channel = ChannelOf(at);
      double should = (x[at] - mean) / deviation * Widen(weight_[channel]) + Widen(bias_[channel]);
      if (of.has_silu) should /= 1 + std::exp(-should);
      EXPECT_NEAR(Widen(out[at]), should, std::abs(should) / 256 + 1e-4);
    }
  }
};

TEST_P(VaeKernelsTest, ThreeKernelsAreTheNormAndTheSilu) {
  const std::vector<double> x = Wide(x_);
  for (const bool has_silu : {true, false}) Expect(x, Normed(nullptr, has_silu), has_silu);
}

TEST_P(VaeKernelsTest, TheNormIsOfWhatABiasWasAddedToWithoutRoundingTheSum) {
  std::vector<double> x = Wide(x_);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += Widen(added_[ChannelOf(i)]);
  Expect(x, Normed(Eights(std::as_const(added_)), true), true);
}

TEST_P(VaeKernelsTest, ImagesAndBiasesAreAddedInOnePassAndRoundedOnce) {
  const std::vector<Bf16> y = Numbers(x_.size(), 5);
  const auto eights = static_cast<long long>(x_.size() / 8);
  for (const bool is_whole : {true, false}) {
    std::vector<Bf16> out = y;  // in place
    const SumArguments arguments{is_whole ? Eights(std::as_const(x_)) : nullptr, Eights(out),
                                 Eights(std::as_const(bias_)),
                                 is_whole ? Eights(std::as_const(added_)) : nullptr, Eights(out)};
    RunGrid({static_cast<unsigned>(eights / (kHeld * 64) + 1), 1}, 64,
            [&] { SumWithBias(arguments, channels(), eights); });
    for (std::size_t i = 0; i < out.size(); ++i) {
      float bias = Widen(bias_[ChannelOf(i)]);
      if (is_whole) bias += Widen(added_[ChannelOf(i)]);
      EXPECT_EQ(out[i], Narrow((is_whole ? Widen(x_[i]) : 0.0F) + (Widen(y[i]) + bias)));
    }
  }
}

TEST_P(VaeKernelsTest, EveryPixelIsThereFourTimes) {
  constexpr int kWidth = 5;
  constexpr int kRows = 4;
  const std::vector<Bf16> x = Numbers(static_cast<std::size_t>(kRows * kWidth * channels()), 6);
  std::vector<Bf16> out(4 * x.size());
  const auto blocks = static_cast<unsigned>(kWidth * channels() / 8 / 64 + 1);
  RunGrid({blocks, kRows}, 64, [&] { DoubleSize(Eights(x), Eights(out), kWidth, channels()); });
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t pixel = i / static_cast<std::size_t>(channels());
    const std::size_t from = pixel / (2 * kWidth) / 2 * kWidth + pixel % (2 * kWidth) / 2;
    EXPECT_EQ(out[i], x[from * static_cast<std::size_t>(channels()) + ChannelOf(i)]);
  }
}

INSTANTIATE_TEST_SUITE_P(Channels, VaeKernelsTest, ::testing::Values(128, 256, 512));

// As few scores as some threads have none, and as many as each has several.
class VaeSoftmaxTest : public ::testing::TestWithParam<int> {};

TEST_P(VaeSoftmaxTest, RowsOfScaledScoresAreTheirSoftmax) {
  constexpr int kRows = 3;
  constexpr float kScale = 0.3F;
  const auto columns = static_cast<std::size_t>(GetParam());
  std::vector<float> scores;
  for (const Bf16 number : Numbers(kRows * columns, 7)) {
    scores.push_back(100.0F * (Widen(number) - 5.0F));
  }
  std::vector<Bf16> out(scores.size());
  RunGrid({kRows, 1}, 64, [&] {
    ScaledSoftmax(reinterpret_cast<const Quad*>(scores.data()), Eights(out), GetParam() / 8,
                  kScale);
  });
  for (std::size_t row = 0; row < kRows; ++row) {
    const auto first = scores.begin() + static_cast<std::ptrdiff_t>(row * columns);
    const double most = *std::max_element(first, first + GetParam());
    double sum = 0;
    for (std::size_t i = 0; i < columns; ++i) {
      sum += std::exp((scores[row * columns + i] - most) * kScale);
    }
    for (std::size_t i = 0; i < columns; ++i) {
      const double should = std::exp((scores[row * columns + i] - most) * kScale) / sum;
      EXPECT_NEAR(Widen(out[row * columns + i]), should, should / 250 + 1e-30);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Columns, VaeSoftmaxTest, ::testing::Values(8, 264, 2048));

}  // namespace
}  // namespace hearth
