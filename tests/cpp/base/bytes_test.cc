#include "base/bytes.h"

#include <gtest/gtest.h>

#include <limits>

namespace hearth {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

TEST(Bytes, ASumThatFitsIsTheSum) {
  EXPECT_EQ(CheckedAdd(2, 3), 5U);
  EXPECT_EQ(CheckedAdd(kMost, 0), kMost);
  EXPECT_EQ(CheckedAdd(kMost - 1, 1), kMost);
}

TEST(Bytes, ASumThatDoesNotFitIsNone) {
  EXPECT_FALSE(CheckedAdd(kMost, 1));
  EXPECT_FALSE(CheckedAdd(kMost / 2 + 1, kMost / 2 + 1));
}

TEST(Bytes, AProductThatFitsIsTheProduct) {
  EXPECT_EQ(CheckedMultiply(6, 7), 42U);
  EXPECT_EQ(CheckedMultiply(kMost, 0), 0U);
  EXPECT_EQ(CheckedMultiply(0xFFFFFFFFU, 0x100000001U), kMost);
}

TEST(Bytes, AProductThatDoesNotFitIsNone) {
  EXPECT_FALSE(CheckedMultiply(0x100000000U, 0x100000000U));
  EXPECT_FALSE(CheckedMultiply(kMost, 2));
}

TEST(Bytes, GibAreBinaryAndRoundedDown) {
  EXPECT_EQ(GibToBytes(0), 0U);
  EXPECT_EQ(GibToBytes(1), 1073741824U);
  EXPECT_EQ(GibToBytes(0.5), 536870912U);
  EXPECT_EQ(GibToBytes(1e-9), 1U);
  EXPECT_EQ(GibToBytes(1e-10), 0U);
}

TEST(Bytes, MoreGibThanSixtyFourBitsHoldAreTheMostThereIs) {
  EXPECT_EQ(GibToBytes(17179869184.0), kMost);  // 2^64 bytes exactly
  EXPECT_EQ(GibToBytes(1e300), kMost);
  EXPECT_EQ(GibToBytes(std::numeric_limits<double>::infinity()), kMost);
}

TEST(Bytes, PeopleReadDecimalUnits) {
  EXPECT_EQ(FormatBytes(0), "0 bytes");
  EXPECT_EQ(FormatBytes(999), "999 bytes");
  EXPECT_EQ(FormatBytes(17'000), "17 KB");
  EXPECT_EQ(FormatBytes(850'000'000), "850 MB");
  EXPECT_EQ(FormatBytes(12'309'866'400), "12.3 GB");
  EXPECT_EQ(FormatBytes(kMost), "18446744073.7 GB");
}

TEST(Bytes, RoundingNeverShowsAThousandOfAUnit) {
  EXPECT_EQ(FormatBytes(999'999), "1 MB");
  EXPECT_EQ(FormatBytes(999'999'999), "1.0 GB");
}

}  // namespace
}  // namespace hearth
