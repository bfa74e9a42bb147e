#include "model/tier_bytes.h"

#include <gtest/gtest.h>

namespace hearth {
namespace {

TEST(TierBytesTest, EverythingButVramIsHostMemory) {
  const TierBytes bytes{1, 2, 4, 8};
  EXPECT_EQ(bytes.host(), 7U);
  EXPECT_EQ(bytes.total(), 15U);
}

TEST(TierBytesTest, SumsAreTakenTierByTier) {
  EXPECT_EQ((TierBytes{1, 2, 4, 8} + TierBytes{10, 20, 40, 80}), (TierBytes{11, 22, 44, 88}));
}

}  // namespace
}  // namespace hearth
