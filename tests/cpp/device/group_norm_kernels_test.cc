// The text of the GroupNorm kernels, run on the host thread by thread, against plain loops in
// double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fakes/host_kernels.h"

namespace hearth {
namespace host_kernels {
namespace group_norm {
// NOLINTNEXTLINE: the text that is compiled for GPUs
#include "device/kernels/group_norm.cu"
}  // namespace group_norm
}  // namespace host_kernels

namespace {

using namespace host_kernels;
using namespace host_kernels::group_norm;

constexpr int kImages = 2;
constexpr int kPixels = 37;
constexpr int kParts = 3;
constexpr float kEps = 1e-6F;

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

const Eight* Eights(const std::vector<Bf16>& numbers) {
  return reinterpret_cast<const Eight*>(numbers.data());
}

// The widths of Z-Image's VAE, and its toy's.
class GroupNormKernelsTest : public ::testing::TestWithParam<int> {
 protected:
  int channels() const { return GetParam(); }
  int of_group() const { return channels() / 32; }

  // Mean and deviation of the group that a channel belongs to.
  void Expect(const std::vector<Bf16>& x, const std::vector<Bf16>& out, bool has_silu) {
    for (int image = 0; image < kImages; ++image) {
      for (int group = 0; group < 32; ++group) ExpectGroup(x, out, image, group, has_silu);
    }
  }

  std::vector<Bf16> x_ = Numbers(static_cast<std::size_t>(kImages * kPixels * channels()), 1);
  std::vector<Bf16> weight_ = Numbers(static_cast<std::size_t>(channels()), 2);
  std::vector<Bf16> bias_ = Numbers(static_cast<std::size_t>(channels()), 3);

 private:
  void ExpectGroup(const std::vector<Bf16>& x, const std::vector<Bf16>& out, int image, int group,
                   bool has_silu) {
    std::vector<std::size_t> places;
    double sum = 0;
    for (int i = 0; i < kPixels * of_group(); ++i) {
      const int pixel = image * kPixels + i / of_group();
      const int channel = group * of_group() + i % of_group();
      places.push_back(static_cast<std::size_t>(pixel * channels() + channel));
      sum += Widen(x[places.back()]);
    }
    const double mean = sum / static_cast<double>(places.size());
    double squares = 0;
    for (const std::size_t at : places) squares += std::pow(Widen(x[at]) - mean, 2);
    const double deviation = std::sqrt(squares / static_cast<double>(places.size()) + kEps);
    for (const std::size_t at : places) {
      const std::size_t channel = at % static_cast<std::size_t>(channels());
      double should =
          (Widen(x[at]) - mean) / deviation * Widen(weight_[channel]) + Widen(bias_[channel]);
      if (has_silu) should /= 1 + std::exp(-should);
      EXPECT_NEAR(Widen(out[at]), should, std::abs(should) / 256 + 1e-4);
    }
  }
};

TEST_P(GroupNormKernelsTest, ThreeKernelsAreTheNormAndTheSilu) {
  std::vector<Moments> moments(kImages * kParts * 32);
  std::vector<Moments> scales(kImages * 32);
  RunGrid({kParts, kImages}, 256,
          [&] { GroupMoments(Eights(x_), moments.data(), kPixels, channels(), kParts); });
  RunGrid({32, kImages}, 32,
          [&] { GroupScales(moments.data(), scales.data(), kPixels, channels(), kParts, kEps); });
  for (const bool has_silu : {true, false}) {
    std::vector<Bf16> out(x_.size());
    const auto eights = static_cast<long long>(x_.size() / 8);
    RunGrid({static_cast<unsigned>(eights / 64 + 1), 1}, 64, [&] {
      GroupApply(Eights(x_), scales.data(), Eights(weight_), Eights(bias_),
                 reinterpret_cast<Eight*>(out.data()), kPixels, channels(), eights, has_silu);
    });
    Expect(x_, out, has_silu);
  }
}

INSTANTIATE_TEST_SUITE_P(Channels, GroupNormKernelsTest, ::testing::Values(128, 256, 512));

}  // namespace
}  // namespace hearth
