// Files going to a device: from where they are registered, through the ring, and over all faults.
#include "device/uploader.h"

#include <gtest/gtest.h>

#include <barrier>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"
#include "device/cuda_host.h"
#include "fakes/fake_driver.h"
#include "fakes/tier_fixture.h"

namespace hearth {
namespace {

constexpr std::uint64_t kSize = 5 * kMib + 1234;

class UploaderTest : public TierFixture {
 protected:
  UploaderTest() : host(std::make_shared<CudaHost>(&FakeDriver::Load)) { UseDriver(); }
  ~UploaderTest() override {
    tier->Shutdown(true);
    uploader.reset();
    EXPECT_EQ(driver.Leftovers(), "");
    EXPECT_EQ(driver.misuses(), std::vector<std::string>());
  }

  // The tier over the driver instead of over the registrar that only keeps account.
  void UseDriver() {
    HostTier::Parts parts;
    parts.system = system;
    parts.clock = clock;
    parts.registrar = host;
    parts.slice_bytes = slice_bytes;
    tier = std::make_unique<HostTier>(std::move(parts));
    MakeUploader({.threads = 3, .buffer_bytes = 100'000});
  }
  void MakeUploader(const UploadOptions& options) {
    uploader = std::make_unique<Uploader>(host->Open(0), PinnedRing::Parts{system, host}, options);
  }
  static bool Holds(const DeviceArena& arena, std::uint64_t offset, const std::string& bytes) {
    return std::memcmp(reinterpret_cast<const char*>(arena.address()) + offset, bytes.data(),
                       bytes.size()) == 0;
  }

  const std::string bytes = PatternBytes(kSize);
  const std::string path = folder.Write("a", bytes);
  FakeDriver driver;
  std::shared_ptr<CudaHost> host;
  std::unique_ptr<Uploader> uploader;
};

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

TEST_F(UploaderTest, WhicheverDriverCallFailsTheNextUploadWorks) {
  const HostFileHandle file = tier->Hold(path);
  const DeviceArena arena(host->Open(0), kSize);
  for (std::uint64_t n = 0;; ++n) {
    ASSERT_LT(n, 2000U);
    file->Unregister();
    MakeUploader({.threads = 2, .buffer_bytes = 400'000});
    driver.FailAt(n);
    try {
      file->Register({.max_bytes = 2 * kMib});
      uploader->Run(*file, arena, {{0, 0, kSize}});
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("cu"), std::string::npos) << error.what();
    }
    const bool has_failed = driver.has_failed();
    driver.FailAt(FakeDriver::kNever);
    std::memset(reinterpret_cast<void*>(arena.address()), 0, kSize);
    uploader->Run(*file, arena, {{0, 0, kSize}});
    ASSERT_TRUE(Holds(arena, 0, bytes)) << "after call " << n << " failed";
    if (!has_failed) break;
  }
}

TEST_F(UploaderTest, FiftyUploadsLeaveNothingBehind) {
  for (int i = 0; i < 50; ++i) {
    const HostFileHandle file = tier->Hold(path);
    file->Register({.max_bytes = kMib});
    const DeviceArena arena(host->Open(0), kSize);
    uploader->Run(*file, arena, {{0, 0, kSize}});
    ASSERT_TRUE(Holds(arena, 0, bytes));
  }
  tier->GiveWay(kSize);
  uploader.reset();
  EXPECT_EQ(driver.Leftovers(), "");
}

}  // namespace
}  // namespace hearth
