#ifndef HEARTH_TESTS_FAKES_LOAD_FIXTURE_H_
#define HEARTH_TESTS_FAKES_LOAD_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "device/cuda_host.h"
#include "device/uploader.h"
#include "fakes/tier_fixture.h"

namespace hearth {

// One whole load of a file to a device and back, of which calls of the driver may fail.
class LoadFixture : public TierFixture {
 protected:
  static constexpr std::uint64_t kSize = 5 * kMib + 1234;

  explicit LoadFixture(CudaHost::Loader load) : load_(load) { StartAnew(); }

  // With devices of which nothing was asked yet.
  void StartAnew() {
    tier->Shutdown(true);
    host = std::make_shared<CudaHost>(load_);
    RemakeOver(host);
  }

  // All that a load does, of which the tier may have registered the file's pages, and all that lets
  // go of it. Throws Error.
  void Load(bool is_registered) {
    Copy(tier->Hold(path), is_registered);
    tier->GiveWay(kSize);
  }

  // Fails each of a load's calls in turn, and after each has the next load in full. `fail_at` has
  // the nth call fail from now on, or none; `has_failed` says whether it came to that.
  void FailEachCall(bool is_registered, const std::function<void(std::uint64_t)>& fail_at,
                    const std::function<bool()>& has_failed) {
    std::uint64_t n = 0;
    for (;; ++n) {
      ASSERT_LT(n, 2000U);
      StartAnew();
      fail_at(n);
      try {
        Load(is_registered);
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("cu"), std::string::npos) << error.what();
      }
      const bool is_over = !has_failed();
      fail_at(~std::uint64_t{0});
      if (is_over) break;
      AfterFault(n);
      ASSERT_NO_THROW(Load(is_registered)) << "after call " << n << " failed";
      ASSERT_TRUE(back == bytes) << "after call " << n << " failed";
    }
    EXPECT_GT(n, 10U) << "the loop has hardly met a call";
  }
  virtual void AfterFault(std::uint64_t) {}

  const std::string bytes = PatternBytes(kSize);
  const std::string path = folder.Write("a", bytes);
  std::shared_ptr<CudaHost> host;
  std::string back;

 private:
  void Copy(const HostFileHandle& file, bool is_registered) {
    if (is_registered) file->Register({.max_bytes = 2 * kMib});
    const auto device = host->Open(0);
    const DeviceArena arena(device, kSize);
    Uploader uploader(device, PinnedRing::Parts{system, host},
                      {.threads = 2, .buffer_bytes = 400'000});
    uploader.Run(*file, arena, {{0, 0, kSize}});
    back.assign(kSize, '\0');
    CopyStream stream(device);
    stream.CopyToHost(back.data(), arena.address(), kSize);
    stream.Wait();
  }

  const CudaHost::Loader load_;
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_LOAD_FIXTURE_H_
