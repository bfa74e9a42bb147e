// Files going to a device: from where they are registered, and through the ring.
#include "device/uploader.h"

#include <gtest/gtest.h>

#include <barrier>
#include <string>
#include <vector>

#include "base/error.h"
#include "fakes/upload_fixture.h"

namespace hearth {
namespace {

using UploaderTest = UploadFixture;

TEST_F(UploaderTest, ARegisteredFileIsFetchedByTheDevice) {
  const HostFileHandle file = tier->Hold(path);
  file->Register({});
  const DeviceArena arena(host->Open(0), kSize);
  const UploadStats stats = uploader->Run(*file, arena, {{0, 0, kSize}});
  EXPECT_EQ(stats.registered_bytes, kSize);
  EXPECT_EQ(stats.ring_bytes, 0U);
  EXPECT_EQ(driver.pageable_copies(), 0U);
  EXPECT_TRUE(Holds(arena, 0, bytes));
}

TEST_F(UploaderTest, AnUnregisteredFileGoesThroughTheRing) {
  for (const ReadPath read : {ReadPath::kPageCache, ReadPath::kDirect}) {
    MakeUploader({.threads = 3, .buffer_bytes = 100'000, .path = read});
    const HostFileHandle file = tier->Hold(path);
    const DeviceArena arena(host->Open(0), kSize);
    UploadControl control;
    const UploadStats stats = uploader->Run(*file, arena, {{0, 0, kSize}}, &control);
    EXPECT_EQ(stats.ring_bytes, kSize);
    EXPECT_EQ(control.done_bytes.load(), kSize);
    EXPECT_EQ(driver.pageable_copies(), 0U) << "the ring is registered";
    EXPECT_TRUE(Holds(arena, 0, bytes));
  }
}

TEST_F(UploaderTest, WhatIsRegisteredInPartGoesBothWays) {
  const HostFileHandle file = tier->Hold(path);
  file->Register({.max_bytes = 2 * kMib});
  const DeviceArena arena(host->Open(0), kSize);
  const UploadStats stats = uploader->Run(*file, arena, {{0, 0, kSize}});
  EXPECT_EQ(stats.registered_bytes, 2 * kMib);
  EXPECT_EQ(stats.ring_bytes, kSize - 2 * kMib);
  EXPECT_TRUE(Holds(arena, 0, bytes));
}

TEST_F(UploaderTest, CopiesAreSplitWhereTheDriverWantsThem) {
  driver.set_copies_span(false);
  const HostFileHandle file = tier->Hold(path);
  file->Register({});
  const DeviceArena arena(host->Open(0), kSize);
  EXPECT_EQ(uploader->Run(*file, arena, {{kMib - 7, 0, 2 * kMib}}).registered_bytes, 2 * kMib);
  EXPECT_TRUE(Holds(arena, 0, bytes.substr(kMib - 7, 2 * kMib)));
}

TEST_F(UploaderTest, RangesGoWhereTheyAreSent) {
  const HostFileHandle file = tier->Hold(path);
  const DeviceArena arena(host->Open(1), 4 * kMib);
  uploader->Run(*file, arena, {{5, 0, 10}, {kMib + 1, 256, 300'000}, {kSize - 3, 3 * kMib, 3}});
  EXPECT_TRUE(Holds(arena, 0, bytes.substr(5, 10)));
  EXPECT_TRUE(Holds(arena, 256, bytes.substr(kMib + 1, 300'000)));
  EXPECT_TRUE(Holds(arena, 3 * kMib, bytes.substr(kSize - 3)));
}

TEST_F(UploaderTest, RangesOutsideAreRefused) {
  const HostFileHandle file = tier->Hold(path);
  const DeviceArena arena(host->Open(0), kMib);
  EXPECT_THROW(uploader->Run(*file, arena, {{0, 0, kMib + 1}}), Error);
  EXPECT_THROW(uploader->Run(*file, arena, {{kSize, 0, 1}}), Error);
  EXPECT_THROW(uploader->Run(*file, arena, {{~std::uint64_t{0}, 0, 1}}), Error);
}

TEST_F(UploaderTest, AFileThatCannotBeMappedIsStreamed) {
  system->errors[FaultySystemCalls::kMap] = ENOMEM;
  const HostFileHandle file = tier->Hold(path);
  const DeviceArena arena(host->Open(0), kSize);
  EXPECT_EQ(uploader->Run(*file, arena, {{0, 0, kSize}}).ring_bytes, kSize);
  EXPECT_TRUE(Holds(arena, 0, bytes));
}

TEST_F(UploaderTest, ShortReadsAndMissingThreadsChangeNothing) {
  system->most_per_read = 33'333;
  system->interrupts = true;
  system->errors[FaultySystemCalls::kThread] = EAGAIN;
  const HostFileHandle file = tier->Hold(path);
  const DeviceArena arena(host->Open(0), kSize);
  uploader->Run(*file, arena, {{0, 0, kSize}});
  EXPECT_TRUE(Holds(arena, 0, bytes));
}

TEST_F(UploaderTest, ADiskThatFailsIsReportedAtTheByte) {
  const HostFileHandle file = tier->Hold(path);
  const DeviceArena arena(host->Open(0), kSize);
  system->read_fails_at = 4 * kMib + 1;
  try {
    uploader->Run(*file, arena, {{0, 0, kSize}});
    ADD_FAILURE() << "it was not missed";
  } catch (const CheckpointCorrupt& error) {
    EXPECT_GE(error.byte_offset(), 4 * kMib + 1);
  }
  system->read_fails_at = FaultySystemCalls::kNever;
  uploader->Run(*file, arena, {{0, 0, kSize}});
  EXPECT_TRUE(Holds(arena, 0, bytes));
}

TEST_F(UploaderTest, ACancelledUploadEndsEarlyAndLeavesNoCopyBehind) {
  const HostFileHandle file = tier->Hold(path);
  const DeviceArena arena(host->Open(0), kSize);
  UploadControl control;
  control.cancelled = true;
  const UploadStats stats = uploader->Run(*file, arena, {{0, 0, kSize}}, &control);
  EXPECT_TRUE(stats.cancelled);
  EXPECT_EQ(stats.ring_bytes, 0U);
}

TEST_F(UploaderTest, TwoUploadsAtOnceTakeTurnsWithTheRing) {
  const HostFileHandle file = tier->Hold(path);
  const DeviceArena first(host->Open(0), kSize);
  const DeviceArena second(host->Open(0), kSize);
  std::thread other([&] { uploader->Run(*file, first, {{0, 0, kSize}}); });
  uploader->Run(*file, second, {{0, 0, kSize}});
  other.join();
  EXPECT_TRUE(Holds(first, 0, bytes));
  EXPECT_TRUE(Holds(second, 0, bytes));
}

}  // namespace
}  // namespace hearth
