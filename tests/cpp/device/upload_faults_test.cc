// Every call of the driver and of the kernel, and every allocation, fails once while a file goes to
// a device; and what is done fifty times leaves nothing behind.
#include <cstring>
#include <new>
#include <string>

#include "base/error.h"
#include "fakes/failing_new.h"
#include "fakes/upload_fixture.h"

namespace hearth {
namespace {

class UploadFaultsTest : public UploadFixture {
 protected:
  // All that a load does of a file that nobody has registered. False: refused with a named error.
  bool Stream() {
    try {
      const HostFileHandle file = tier->Hold(path);
      const DeviceArena arena(host->Open(0), kSize);
      uploader->Run(*file, arena, {{0, 0, kSize}});
      return Holds(arena, 0, bytes);
    } catch (const Error&) {
      return false;
    }
  }
  void MakeUploaderFor(ReadPath read) {
    MakeUploader({.threads = 2, .buffer_bytes = 400'000, .path = read});
  }
};

TEST_F(UploadFaultsTest, WhicheverKernelCallFailsTheNextUploadWorks) {
  for (const ReadPath read : {ReadPath::kPageCache, ReadPath::kDirect}) {
    for (std::uint64_t n = 0;; ++n) {
      ASSERT_LT(n, 1000U);
      tier->GiveWay(kSize);  // a file that is held already would not be opened again
      MakeUploaderFor(read);
      const std::uint64_t calls = system->calls();
      system->fail_at = calls + n;
      static_cast<void>(Stream());
      const bool has_failed = system->calls() > calls + n;
      system->fail_at = FaultySystemCalls::kNever;
      ASSERT_TRUE(Stream()) << "after call " << n << " failed";
      if (!has_failed) break;
    }
  }
}

TEST_F(UploadFaultsTest, WhicheverAllocationFailsTheNextUploadWorks) {
  for (std::uint64_t n = 0;; ++n) {
    ASSERT_LT(n, 5000U);
    tier->GiveWay(kSize);
    MakeUploaderFor(ReadPath::kPageCache);
    bool has_failed = false;
    {
      const FailingNew failing(n);
      try {
        static_cast<void>(Stream());
      } catch (const std::bad_alloc&) {  // the named error of its kind
      }
      has_failed = failing.has_failed();
    }
    ASSERT_TRUE(Stream()) << "after allocation " << n << " failed";
    if (!has_failed) break;
  }
}

TEST_F(UploadFaultsTest, WhicheverDriverCallFailsTheNextUploadWorks) {
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

TEST_F(UploadFaultsTest, FiftyUploadsLeaveNothingBehind) {
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
