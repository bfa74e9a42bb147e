// Noise levels and noise by their published values; equality with ComfyUI is tested in tests/comfy.
#include "zimage/schedule.h"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

namespace hearth {
namespace {

TEST(Schedule, EightStepsOfTheOfficialWorkflow) {
  const at::Tensor sigmas = SimpleSigmas(kZImageShift, 8);
  const std::vector<double> known{1, .9545, .9, .8333, .75, .6429, .5, .3, 0};
  ASSERT_EQ(sigmas.size(0), 9);
  for (std::int64_t i = 0; i < 9; ++i) {
    EXPECT_NEAR(sigmas[i].item<double>(), known[static_cast<std::size_t>(i)], 5e-5);
  }
}

TEST(Schedule, ARunThatStartsLaterTakesTheLastStepsOfALongerOne) {
  const at::Tensor whole = SimpleSigmas(kZImageShift, 16);
  EXPECT_TRUE(at::equal(SimpleSigmas(kZImageShift, 8, 0.5), whole.slice(0, 8)));
}

TEST(Schedule, NoStepsAreNoSigmasAndNegativeOnesAreRefused) {
  EXPECT_EQ(SimpleSigmas(kZImageShift, 0).numel(), 0);
  EXPECT_EQ(SimpleSigmas(kZImageShift, 8, 0.0).numel(), 0);
  EXPECT_THROW(SimpleSigmas(kZImageShift, -1), Error);
}

TEST(Schedule, OneSeedIsOneNoise) {
  EXPECT_TRUE(at::equal(SeededNoise({2, 3}, 7), SeededNoise({2, 3}, 7)));
  EXPECT_FALSE(at::equal(SeededNoise({2, 3}, 7), SeededNoise({2, 3}, 8)));
}

}  // namespace
}  // namespace hearth
