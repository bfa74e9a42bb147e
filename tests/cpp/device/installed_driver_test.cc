// Faults of the installed driver, on a GPU: every call that hearth makes of it fails once.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "device/cuda_host.h"
#include "device/uploader.h"
#include "fakes/tier_fixture.h"

namespace hearth {
namespace {

// The installed driver, whose nth call is not made and answers with an error. Thread-safe.
class FailingDriver {
 public:
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  // As LoadCudaDriver() answers.
  static DriverAnswer Load() {
    DriverAnswer answer = LoadCudaDriver();
    if (answer.driver == nullptr) return answer;
    real_ = answer.driver->api();
    DriverApi api = real_;
    Wrap<&DriverApi::primary_context_retain, &DriverApi::context_push, &DriverApi::context_pop,
         &DriverApi::memory_get_info, &DriverApi::host_register, &DriverApi::host_unregister,
         &DriverApi::host_get_flags, &DriverApi::stream_create, &DriverApi::stream_destroy,
         &DriverApi::stream_synchronize, &DriverApi::copy_to_device, &DriverApi::copy_to_host,
         &DriverApi::granularity, &DriverApi::address_reserve, &DriverApi::address_free,
         &DriverApi::allocation_create, &DriverApi::allocation_release, &DriverApi::map,
         &DriverApi::unmap, &DriverApi::set_access>(api);
    return {std::make_shared<const CudaDriver>(api), ""};
  }
  static void FailAt(std::uint64_t n) {
    calls_ = 0;
    fail_at_ = n;
  }
  static bool has_failed() { return calls_ > fail_at_; }

 private:
  static constexpr CuResult kUnknownError = 999;

  template <auto kMember, typename... Args>
  static CuResult Call(Args... args) {
    if (calls_++ == fail_at_) return kUnknownError;
    return (real_.*kMember)(args...);
  }
  template <auto kMember, typename... Args>
  static void WrapOne(CuResult (*&function)(Args...)) {
    function = &Call<kMember, Args...>;
  }
  template <auto... kMembers>
  static void Wrap(DriverApi& api) {
    (WrapOne<kMembers>(api.*kMembers), ...);
  }

  static inline DriverApi real_;
  static inline std::atomic<std::uint64_t> calls_{0};
  static inline std::atomic<std::uint64_t> fail_at_{kNever};
};

class InstalledDriverTest : public TierFixture {
 protected:
  static constexpr std::uint64_t kSize = 5 * kMib + 1234;

  void SetUp() override {
    const DriverAnswer answer = LoadCudaDriver();
    if (answer.driver == nullptr || host->Probe().devices.empty()) {
      GTEST_SKIP() << "NOT RUN, needs a CUDA device (" << answer.reason << ")";
    }
    RemakeOver(host);
  }

  // All that a load does, of which the tier may have registered the file's pages. Throws Error.
  void Load(bool is_registered) {
    const HostFileHandle file = tier->Hold(path);
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
  // Whether a call was left for the nth to be. Errors are named after their call.
  bool LoadWithFault(std::uint64_t n, bool is_registered) {
    FailingDriver::FailAt(n);
    try {
      Load(is_registered);
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("cu"), std::string::npos) << error.what();
    }
    const bool has_failed = FailingDriver::has_failed();
    FailingDriver::FailAt(FailingDriver::kNever);
    return has_failed;
  }

  const std::string bytes = PatternBytes(kSize);
  const std::string path = folder.Write("a", bytes);
  std::shared_ptr<CudaHost> host = std::make_shared<CudaHost>(&FailingDriver::Load);
  std::string back;
};

TEST_F(InstalledDriverTest, WhicheverCallFailsTheNextLoadHasTheFilesBytes) {
  for (const bool is_registered : {false, true}) {
    std::uint64_t n = 0;
    for (; LoadWithFault(n, is_registered); ++n) {
      ASSERT_LT(n, 2000U);
      tier->GiveWay(kSize);
      ASSERT_NO_THROW(Load(is_registered)) << "after call " << n << " failed";
      ASSERT_TRUE(back == bytes) << "after call " << n << " failed";
    }
    EXPECT_GT(n, 10U) << "the loop has hardly met a call";
  }
}

}  // namespace
}  // namespace hearth
