#include "runtime/unregistered_memory.h"

#include <gtest/gtest.h>

namespace hearth {
namespace {

class FixedMemory final : public HostMemoryProbe {
 public:
  HostMemory Read() const noexcept override { return {.total = 100, .available = 60}; }
};

TEST(UnregisteredMemoryTest, PagesThatADeviceHoldsAreNotAvailable) {
  std::uint64_t registered = 0;
  const UnregisteredMemory memory(std::make_shared<FixedMemory>(), [&] { return registered; });
  EXPECT_EQ(memory.Read().available, 60U);
  registered = 25;
  EXPECT_EQ(memory.Read().available, 35U);
  EXPECT_EQ(memory.Read().total, 100U);
}

TEST(UnregisteredMemoryTest, MoreRegisteredThanAvailableLeavesNothingAndNoMore) {
  const UnregisteredMemory memory(std::make_shared<FixedMemory>(), [] { return 80U; });
  EXPECT_EQ(memory.Read().available, 0U);
}

}  // namespace
}  // namespace hearth
