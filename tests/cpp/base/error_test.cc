#include "base/error.h"

#include <gtest/gtest.h>

namespace hearth {
namespace {

template <typename Thrown>
bool IsCaughtAsHearths(const Thrown& error) {
  try {
    throw error;
  } catch (const Error& caught) {
    return std::string(caught.what()) == error.what();
  }
}

TEST(Errors, EveryClassIsCaughtAsHearthsOwnWithItsMessage) {
  EXPECT_TRUE(IsCaughtAsHearths(ConfigError("/a", "one")));
  EXPECT_TRUE(IsCaughtAsHearths(CheckpointNotFound("two")));
  EXPECT_TRUE(IsCaughtAsHearths(CheckpointCorrupt("a.safetensors", 8, "three")));
  EXPECT_TRUE(IsCaughtAsHearths(DeviceOutOfMemory("four")));
  EXPECT_TRUE(IsCaughtAsHearths(CacheBusy("five")));
  EXPECT_TRUE(IsCaughtAsHearths(CacheClosed("six")));
  EXPECT_TRUE(IsCaughtAsHearths(CudaError("seven")));
}

TEST(Errors, AConfigErrorSaysWhere) {
  EXPECT_EQ(ConfigError("/unload/policy", "no").pointer(), "/unload/policy");
}

TEST(Errors, ACorruptCheckpointSaysFileOffsetTensorAndWhatWouldBeRight) {
  const CheckpointCorrupt error("a.safetensors", 42, "short", "vae.weight", "64 bytes");
  EXPECT_EQ(error.file_name(), "a.safetensors");
  EXPECT_EQ(error.byte_offset(), 42U);
  EXPECT_EQ(error.tensor(), "vae.weight");
  EXPECT_EQ(error.expected(), "64 bytes");
}

}  // namespace
}  // namespace hearth
