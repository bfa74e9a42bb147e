// In how many copies a device fetches a range of a file.
#include "weights/copy_sizes.h"

#include <gtest/gtest.h>

#include "fakes/tier_fixture.h"

namespace hearth {
namespace {

using Sizes = std::vector<std::uint64_t>;

class CopySizesTest : public TierFixture {
 protected:
  HostFileHandle Held() { return tier->Hold(WriteModel("a", 3 * kMib + 10)); }
};

TEST_F(CopySizesTest, NothingRegisteredIsOneCopy) {
  EXPECT_EQ(CopySizes(*Held(), 5, 2 * kMib), (Sizes{2 * kMib}));
}

TEST_F(CopySizesTest, ACopyStaysInASliceWhereTheDriverWantsThat) {
  registrar->copies_span = false;
  const HostFileHandle file = Held();
  file->Register({});
  EXPECT_EQ(CopySizes(*file, kMib - 7, kMib + 10), (Sizes{7, kMib, 3}));
  EXPECT_EQ(CopySizes(*file, 0, 3 * kMib + 10), (Sizes{kMib, kMib, kMib, 10}));
}

TEST_F(CopySizesTest, ACopyGoesOverSlicesWhereTheDriverTakesIt) {
  const HostFileHandle file = Held();
  file->Register({});
  EXPECT_EQ(CopySizes(*file, kMib - 7, kMib + 10), (Sizes{kMib + 10}));
}

TEST_F(CopySizesTest, ACopyDoesNotBeginInWhatIsRegisteredAndEndElsewhere) {
  const HostFileHandle file = Held();
  file->Register({.max_bytes = kMib});
  EXPECT_EQ(CopySizes(*file, kMib - 4, kMib), (Sizes{4, kMib - 4}));
  EXPECT_EQ(CopySizes(*file, kMib, kMib), (Sizes{kMib}));
}

}  // namespace
}  // namespace hearth
