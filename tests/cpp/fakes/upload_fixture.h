#ifndef HEARTH_TESTS_FAKES_UPLOAD_FIXTURE_H_
#define HEARTH_TESTS_FAKES_UPLOAD_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "device/cuda_host.h"
#include "device/uploader.h"
#include "fakes/fake_driver.h"
#include "fakes/tier_fixture.h"

namespace hearth {

// A file, the host tier over a fake driver, and an uploader to its devices; nothing may be left of
// them.
class UploadFixture : public TierFixture {
 protected:
  static constexpr std::uint64_t kSize = 5 * kMib + 1234;

  UploadFixture() : host(std::make_shared<CudaHost>(&FakeDriver::Load)) { UseDriver(); }
  ~UploadFixture() override {
    tier->Shutdown(true);
    uploader.reset();
    EXPECT_EQ(driver.Leftovers(), "");
    EXPECT_EQ(driver.misuses(), std::vector<std::string>());
  }

  void UseDriver() {
    RemakeOver(host);
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

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_UPLOAD_FIXTURE_H_
