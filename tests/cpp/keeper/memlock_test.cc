// What one is told when too little may be locked.
#include "keeper/memlock.h"

#include <gtest/gtest.h>

namespace hearth {
namespace {

TEST(MemlockTest, TheAdviceHasLinesToCopyThatSuffice) {
  const std::string advice = MemlockAdvice((std::uint64_t{12} << 30) + 1, 8 << 20);
  EXPECT_NE(advice.find("`ulimit -l 12583936`"), std::string::npos) << advice;
  EXPECT_NE(advice.find("`LimitMEMLOCK=12289M`"), std::string::npos) << advice;
  EXPECT_NE(advice.find("8 MB"), std::string::npos) << advice;
}

TEST(MemlockTest, TheSoftLimitIsRaisedToTheHardOne) {
  const auto before = LockableBytes();
  RaiseMemlockLimit();
  const auto after = LockableBytes();
  EXPECT_TRUE(!after || (before && *after >= *before));
}

}  // namespace
}  // namespace hearth
